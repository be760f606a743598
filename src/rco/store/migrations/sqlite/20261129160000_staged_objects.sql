-- migrate:up

-- Small objects whose bytes came with the commit that accepted them. They are moved to where objects are kept, many at
-- a time, and removed here.
CREATE TABLE staged_object (
    key TEXT NOT NULL UNIQUE,
    put_us INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

-- migrate:down

DROP TABLE staged_object;
