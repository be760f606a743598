-- migrate:up

-- The object that holds a schedule's input, where that is too large for the row: a use of it (payload_use, kind 3)
-- counts for as long as it is named here.
ALTER TABLE schedule ADD COLUMN payload BLOB;

-- migrate:down

ALTER TABLE schedule DROP COLUMN payload;
