-- migrate:up

-- The order in which runs of an ordered queue were taken in; 0 in any other.
ALTER TABLE queue_item ADD COLUMN arrival bigint NOT NULL DEFAULT 0;
CREATE SEQUENCE queue_arrival;

DROP INDEX queue_item_waiting;
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key COLLATE "C", arrival, run_id) WHERE state = 0;

-- What a flush does to ordered queues, in the same statement and so in the same commit: p_woken is what the rest of it
-- returned; NULL says that this flush stands already.
--
-- Commits to one key come one after the other from here to their end: the lock is taken before the number, and given
-- back when everybody can see what was committed. So numbers of a key appear in their order, and who sees one sees all
-- before it. The locks are taken in one order, and after them a flush takes none that another takes before them.
CREATE FUNCTION rco_order(p_woken bytea[], o_run bytea[], o_slot integer[]) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(7310, slot)
        FROM (SELECT DISTINCT slot FROM unnest(o_slot) AS s(slot) ORDER BY slot) AS slots;
    WITH placed AS MATERIALIZED (
        SELECT each.run_id, nextval('queue_arrival') AS arrival
        FROM (SELECT run_id FROM unnest(o_run) WITH ORDINALITY AS o(run_id, place) ORDER BY place) AS each)
    UPDATE queue_item SET arrival = placed.arrival FROM placed WHERE queue_item.run_id = placed.run_id;
    RETURN p_woken;
END
$rco$;

ALTER FUNCTION rco_order SET enable_seqscan = off;
ALTER FUNCTION rco_order SET enable_hashjoin = off;
ALTER FUNCTION rco_order SET enable_mergejoin = off;
ALTER FUNCTION rco_order SET plan_cache_mode = force_generic_plan;

-- migrate:down

DROP FUNCTION rco_order;
DROP INDEX queue_item_waiting;
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key COLLATE "C", run_id) WHERE state = 0;
ALTER TABLE queue_item DROP COLUMN arrival;
DROP SEQUENCE queue_arrival;
