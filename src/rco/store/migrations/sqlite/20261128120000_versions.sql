-- migrate:up

-- What code each version of the application stands for: a digest of its sources.
CREATE TABLE app_version (
    name TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    first_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which versions the node that owns the file can run; an empty name: every run.
CREATE TABLE node_version (
    node TEXT NOT NULL,
    name TEXT NOT NULL,
    current INTEGER NOT NULL,
    PRIMARY KEY (node, name)
) STRICT, WITHOUT ROWID;

-- migrate:down

DROP TABLE node_version;
DROP TABLE app_version;
