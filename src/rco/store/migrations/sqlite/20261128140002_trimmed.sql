-- migrate:up

-- The last link of which retention removed journal rows: up to it they may be missing by right.
CREATE TABLE trimmed (
    chain TEXT NOT NULL PRIMARY KEY,
    last_n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- migrate:down

DROP TABLE trimmed;
