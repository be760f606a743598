-- migrate:up

-- What the nodes share of limits: who holds how many permits, the next free slot of a rate, budgets that are used, and
-- what is closed for how long. One document each, changed by compare and swap on its version; small, and changed often,
-- so pages keep room for the next version beside the last. kind: limit or closed; name: the scope.
CREATE TABLE limit_state (
    kind text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 25);

-- migrate:down

DROP TABLE limit_state;
