-- migrate:up

-- One row for each run in a queue, from its start to its close; shard is the queue's. state: 0 waits, 1 runs, 2 held.
CREATE TABLE queue_item (
    run_id bytea PRIMARY KEY,
    shard smallint NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    fair_key text NOT NULL,
    state smallint NOT NULL,
    since_us bigint NOT NULL,
    granted_us bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);

-- Whose turn it is: the keys of a level, and the first runs of each. In bytes, so that no collation orders them
-- differently than the nodes do.
CREATE INDEX queue_item_waiting ON queue_item (queue, priority, fair_key COLLATE "C", run_id) WHERE state = 0;
-- Which permits are held, counted by who takes a queue over.
CREATE INDEX queue_item_running ON queue_item (queue) WHERE state = 1;

CREATE TABLE queue_state (
    queue text PRIMARY KEY,
    paused boolean NOT NULL,
    at_us bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL
);

-- What a flush does to queues, in the same statement and so in the same commit: p_woken is what the rest of it
-- returned. NULL says that this flush stands already, its queues with it.
CREATE FUNCTION rco_queues(
    p_woken bytea[],
    i_run bytea[], i_shard smallint[], i_queue text[], i_key text[], i_priority smallint[], i_since bigint[],
    g_run bytea[], g_at bigint[], h_run bytea[], f_run bytea[], x_run bytea[],
    s_queue text[], s_paused boolean[], s_at bigint[], s_actor text[], s_reason text[]
) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(i_run) > 0 THEN
        INSERT INTO queue_item (run_id, shard, queue, fair_key, priority, state, since_us)
            SELECT i.run_id, i.shard, i.queue, i.key, i.priority, 0, i.since
            FROM unnest(i_run, i_shard, i_queue, i_key, i_priority, i_since)
            AS i(run_id, shard, queue, key, priority, since);
    END IF;
    IF cardinality(h_run) > 0 THEN
        UPDATE queue_item SET state = 2 WHERE run_id = ANY (h_run) AND state = 0;
    END IF;
    IF cardinality(f_run) > 0 THEN
        UPDATE queue_item SET state = 0 WHERE run_id = ANY (f_run) AND state = 2;
    END IF;
    IF cardinality(g_run) > 0 THEN
        UPDATE queue_item SET state = 1, granted_us = g.at FROM unnest(g_run, g_at) AS g(run_id, at)
            WHERE queue_item.run_id = g.run_id;
    END IF;
    IF cardinality(x_run) > 0 THEN
        DELETE FROM queue_item WHERE run_id = ANY (x_run);
    END IF;
    IF cardinality(s_queue) > 0 THEN
        INSERT INTO queue_state (queue, paused, at_us, actor, reason)
            SELECT * FROM unnest(s_queue, s_paused, s_at, s_actor, s_reason) ORDER BY 1
            ON CONFLICT (queue) DO UPDATE SET paused = excluded.paused, at_us = excluded.at_us,
                actor = excluded.actor, reason = excluded.reason;
    END IF;
    RETURN p_woken;
END
$rco$;

-- As with rco_flush: the arrays are small beside the table.
ALTER FUNCTION rco_queues SET enable_seqscan = off;
ALTER FUNCTION rco_queues SET enable_hashjoin = off;
ALTER FUNCTION rco_queues SET enable_mergejoin = off;
ALTER FUNCTION rco_queues SET plan_cache_mode = force_generic_plan;

-- migrate:down

DROP FUNCTION rco_queues;
DROP TABLE queue_state;
DROP TABLE queue_item;
