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
CREATE TABLE content_waits_to_be_moved (count INTEGER NOT NULL CHECK (count = 0));
INSERT INTO content_waits_to_be_moved SELECT count(*) FROM staged_object;
DROP TABLE content_waits_to_be_moved;
DROP TABLE staged_object;
