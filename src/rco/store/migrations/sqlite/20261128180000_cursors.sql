-- migrate:up

-- How far each reader of a chain has come that must go on there after a crash.
CREATE TABLE cursor_at (
    name TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT;

-- migrate:down

DROP TABLE cursor_at;
