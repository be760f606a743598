-- migrate:up

-- The order in which runs of an ordered queue were taken in; 0 in any other.
ALTER TABLE queue_item ADD COLUMN arrival INTEGER NOT NULL DEFAULT 0;

DROP INDEX queue_item_waiting;
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key, arrival, run_id) WHERE state = 0;

-- migrate:down

DROP INDEX queue_item_waiting;
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key, run_id) WHERE state = 0;

ALTER TABLE queue_item DROP COLUMN arrival;
