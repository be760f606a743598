-- migrate:up

-- What holds of limits over restarts: budgets that are used, and what is closed for how long. One document each, changed
-- by compare and swap on its version. kind: limit or closed; name: the scope.
CREATE TABLE limit_state (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- migrate:down

DROP TABLE limit_state;
