-- migrate:up

-- Small objects whose bytes came with the commit that accepted them. They are moved to where objects are kept, many at
-- a time, and removed here.
CREATE TABLE staged_object (
    key TEXT NOT NULL UNIQUE,
    put_us INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

-- migrate:down

-- What stands here was acknowledged and is nowhere else: the version before must not begin without it. Where the check
-- fails, start this version once more and stop it when rco_objects_staged is 0.
CREATE TABLE staged_left (count INTEGER NOT NULL CONSTRAINT content_waits_to_be_moved CHECK (count = 0));
INSERT INTO staged_left SELECT count(*) FROM staged_object;
DROP TABLE staged_left;
DROP TABLE staged_object;
