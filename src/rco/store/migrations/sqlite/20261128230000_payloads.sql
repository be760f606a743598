-- migrate:up

-- What refers to an object of the object store: kind 0 a run, 1 an event, 2 a dead letter. A row counts for as long as
-- what it names is there, so nothing that removes those need know of it.
CREATE TABLE payload_use (
    name BLOB NOT NULL CHECK (length(name) = 16),
    kind INTEGER NOT NULL,
    who BLOB NOT NULL,
    namespace TEXT NOT NULL,
    PRIMARY KEY (name, kind, who, namespace)
) STRICT, WITHOUT ROWID;

-- What this database's objects stand under: two that share a bucket never collect each other's.
CREATE TABLE payload_space (
    space TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO payload_space (space) VALUES (lower(hex(randomblob(8))));

-- migrate:down

DROP TABLE payload_space;
DROP TABLE payload_use;
