-- migrate:up

-- One row for each run in a queue, from its start to its close. state: 0 waits, 1 runs, 2 held.
CREATE TABLE queue_item (
    run_id BLOB NOT NULL PRIMARY KEY CHECK (length(run_id) = 16),
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    fair_key TEXT NOT NULL,
    state INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    granted_us INTEGER
) STRICT, WITHOUT ROWID;

-- Whose turn it is: the keys of a level, and the first runs of each. It shrinks with the waiting, so that a long past
-- costs nothing.
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key, run_id) WHERE state = 0;
-- Which permits are held, counted by who takes a queue over.
CREATE INDEX queue_item_running ON queue_item (queue) WHERE state = 1;

CREATE TABLE queue_state (
    queue TEXT NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- migrate:down

DROP TABLE queue_state;
DROP TABLE queue_item;
