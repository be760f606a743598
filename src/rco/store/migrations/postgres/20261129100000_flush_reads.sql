-- migrate:up

-- What a flush of one step costs the server is for the most part what its statements cost, and not its rows. So what is
-- read before anything is written is one statement, behind both locks, and lists that are rare are asked for together.
-- Nothing else is other than it was: the same locks in the same order, the same errors.
CREATE OR REPLACE FUNCTION rco_flush(
    p_node text, p_boot bytea, p_chain text, p_n bigint, p_writer text, p_epoch bigint, p_at bigint, p_prev bytea, p_hash bytea, p_leaves bytea, p_places bytea, p_decisions bytea,
    f_shard smallint[], f_epoch bigint[],
    j_run bytea[], j_seq integer[], j_data bytea[],
    c_digest bytea[], c_corr text[], c_expires bigint[],
    k_namespace text[], k_key text[], k_request bytea[], k_run bytea[], k_must boolean[],
    o_run bytea[], o_namespace text[], o_workflow text[], o_version text[], o_mode smallint[], o_key text[], o_parent bytea[], o_corr text[], o_opened bigint[], o_detail bytea[],
    m_run bytea[], m_mode smallint[], m_detail bytea[], m_due bigint[],
    x_run bytea[], x_key text[],
    v_namespace text[], v_id text[], v_source text[], v_type text[], v_subject text[], v_time bigint[], v_received bigint[], v_corr text[], v_origin text[], v_trace text[], v_data bytea[],
    w_run bytea[], w_key text[], w_namespace text[], w_type text[], w_subject text[], w_since bigint[],
    g_run bytea[], g_id text[], g_kind text[], g_name text[], g_at bigint[], g_body bytea[], g_must boolean[],
    t_run bytea[], t_id text[],
    e_run bytea[], e_closed bigint[], e_outcome text[], e_detail bytea[],
    l_id bytea[], l_namespace text[], l_subscription text[], l_cause text[], l_at bigint[], l_replayed bigint[], l_event bytea[],
    r_id bytea[], r_at bigint[]
) RETURNS bytea[] LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan
AS $rco$
DECLARE
    held integer;
    named boolean;
    head_n bigint;
    head_hash bytea;
    woken bytea[] := '{}';
    more bytea[];
BEGIN
    -- One flush a chain at a time: what a lost connection left behind ends before its repeat is judged. And the fence: a
    -- take-over of this node's shards holds the second lock alone (rco_take). What is read after it stands until this
    -- transaction ends. They are taken in a test because an expression costs less than a statement.
    IF pg_advisory_xact_lock(7305, hashtext(p_chain)) IS NULL
        OR pg_advisory_xact_lock_shared(7302, hashtext(p_node)) IS NULL THEN
        RAISE EXCEPTION 'a lock is never NULL';
    END IF;
    SELECT s.n, s.hash, f.named, f.held INTO head_n, head_hash, named, held
        FROM (SELECT EXISTS (SELECT 1 FROM node WHERE name = p_node AND boot_id = p_boot) AS named,
            (SELECT count(*) FROM unnest(f_shard, f_epoch) AS f(shard, epoch)
                JOIN lease USING (shard, epoch) WHERE lease.owner = p_node) AS held) AS f
        LEFT JOIN (SELECT n, hash FROM seal WHERE chain = p_chain ORDER BY n DESC LIMIT 1) AS s ON true;
    IF head_n = p_n AND head_hash = p_hash THEN
        RETURN NULL;
    END IF;
    IF NOT named THEN
        RAISE EXCEPTION 'fenced: another process has the name %', p_node USING ERRCODE = 'RC001';
    END IF;
    IF held <> cardinality(f_shard) THEN
        RAISE EXCEPTION 'fenced: % of % shards are owned by %', held, cardinality(f_shard), p_node
            USING ERRCODE = 'RC001';
    END IF;
    IF coalesce(head_n, 0) <> p_n - 1 OR (head_n > 0 AND head_hash <> p_prev) THEN
        RAISE EXCEPTION 'rewound: chain % stands at link %, expected %', p_chain, coalesce(head_n, 0), p_n - 1
            USING ERRCODE = 'RC003';
    END IF;

    IF num_nonnulls(c_digest, k_key, o_run) > 0 THEN
        IF cardinality(c_digest) > 0 THEN
            INSERT INTO claim (digest, corr_id, expires_us)
                SELECT * FROM unnest(c_digest, c_corr, c_expires) ORDER BY 1
                ON CONFLICT (digest) DO UPDATE SET corr_id = excluded.corr_id, expires_us = excluded.expires_us
                WHERE claim.expires_us <= p_at;
            GET DIAGNOSTICS held = ROW_COUNT;
            IF held <> cardinality(c_digest) THEN
                RAISE EXCEPTION 'a claim was taken meanwhile' USING ERRCODE = 'RC002';
            END IF;
        END IF;
        IF cardinality(k_key) > 0 THEN
            WITH put AS (
                INSERT INTO start_key (namespace, key, request, run_id)
                    SELECT k.n, k.k, k.q, k.r FROM unnest(k_namespace, k_key, k_request, k_run) AS k(n, k, q, r)
                    ORDER BY 1, 2 ON CONFLICT (namespace, key) DO NOTHING RETURNING run_id)
            SELECT count(*) INTO held FROM unnest(k_run, k_must) AS k(run_id, must)
                WHERE must AND NOT EXISTS (SELECT 1 FROM put WHERE put.run_id = k.run_id);
            IF held > 0 THEN
                RAISE EXCEPTION 'a start key was taken meanwhile' USING ERRCODE = 'RC002';
            END IF;
        END IF;
        IF cardinality(o_run) > 0 THEN
            INSERT INTO run (shard, run_id, namespace, workflow, version, mode, key, parent, corr_id, opened_us, detail)
                SELECT get_byte(o.run_id, 15), o.*
                FROM unnest(o_run, o_namespace, o_workflow, o_version, o_mode, o_key, o_parent, o_corr, o_opened, o_detail)
                AS o(run_id, namespace, workflow, version, mode, key, parent, corr_id, opened_us, detail);
        END IF;
    END IF;
    IF cardinality(j_run) > 0 THEN
        INSERT INTO journal (run_id, first_seq, chain, n, data)
            SELECT j.run_id, j.seq, p_chain, p_n, j.data FROM unnest(j_run, j_seq, j_data) AS j(run_id, seq, data);
    END IF;
    IF cardinality(m_run) > 0 THEN
        UPDATE run SET mode = m.mode, detail = m.detail
            FROM unnest(m_run, m_mode, m_detail) AS m(run_id, mode, detail) WHERE run.run_id = m.run_id;
        DELETE FROM timer WHERE run_id = ANY (m_run);
        INSERT INTO timer (run_id, shard, due_us)
            SELECT m.run_id, get_byte(m.run_id, 15), m.due FROM unnest(m_run, m_due) AS m(run_id, due)
            WHERE m.due IS NOT NULL;
    END IF;
    IF num_nonnulls(x_run, v_id, w_run, g_run, t_run) > 0 THEN
        IF cardinality(x_run) > 0 THEN
            DELETE FROM waiter USING unnest(x_run, x_key) AS x(run_id, key)
                WHERE waiter.run_id = x.run_id AND waiter.key = x.key;
        END IF;

        -- An event and a wait for it that come at the same moment on two nodes must not miss each other: both take the lock
        -- of the event's type, who waits takes it alone, and all take them in one order.
        IF cardinality(v_id) > 0 OR cardinality(w_run) > 0 THEN
            PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(7303, slot) ELSE pg_advisory_xact_lock_shared(7303, slot) END
                FROM (SELECT slot, bool_or(waits) AS alone FROM (
                    SELECT hashtext(n || E'\x01' || t) AS slot, false AS waits FROM unnest(v_namespace, v_type) AS v(n, t)
                    UNION ALL
                    SELECT hashtext(n || E'\x01' || t), true FROM unnest(w_namespace, w_type) AS w(n, t)) AS each
                    GROUP BY slot ORDER BY slot) AS slots;
        END IF;
        IF cardinality(g_run) > 0 THEN
            -- The run's row is locked against closing: who closes it afterwards sees the message and takes it along.
            PERFORM 1 FROM run WHERE run_id = ANY (g_run) ORDER BY run_id FOR KEY SHARE;
            SELECT count(*) INTO held FROM unnest(g_run, g_must) AS g(run_id, must)
                WHERE must AND NOT EXISTS (SELECT 1 FROM run WHERE run.run_id = g.run_id);
            IF held > 0 THEN
                RAISE EXCEPTION 'a run was closed meanwhile' USING ERRCODE = 'RC002';
            END IF;
            WITH told AS (
                INSERT INTO message (run_id, message_id, shard, kind, name, at_us, body)
                    SELECT g.r, g.i, get_byte(g.r, 15), g.k, g.n, g.at, g.b
                    FROM unnest(g_run, g_id, g_kind, g_name, g_at, g_body) WITH ORDINALITY AS g(r, i, k, n, at, b, place)
                    WHERE EXISTS (SELECT 1 FROM run WHERE run.run_id = g.r)
                    ORDER BY g.place
                    ON CONFLICT DO NOTHING RETURNING run_id)
            SELECT array_agg(DISTINCT run_id) INTO more FROM told;
            woken := woken || coalesce(more, '{}');
        END IF;
        IF cardinality(v_id) > 0 THEN
            WITH put AS (
                INSERT INTO event (namespace, id, source, type, subject, time_us, received_us, corr_id, origin, trace, data)
                    SELECT * FROM unnest(v_namespace, v_id, v_source, v_type, v_subject, v_time, v_received, v_corr,
                        v_origin, v_trace, v_data)
                    RETURNING seq, namespace, id, source, type, subject),
            told AS (
                INSERT INTO message (run_id, message_id, shard, kind, name, at_us, event)
                    SELECT w.run_id, 'event:' || put.source || ':' || put.id, get_byte(w.run_id, 15), 'event', w.key, p_at,
                        put.seq
                    FROM put JOIN waiter AS w ON w.namespace = put.namespace AND w.type = put.type
                        AND w.subject_match IN ('*', '=' || put.subject)
                    -- Not for a run that is being closed on another node: nobody would ever remove the message.
                    CROSS JOIN LATERAL (SELECT 1 FROM run WHERE run.run_id = w.run_id FOR KEY SHARE) AS open
                    WHERE NOT w.run_id = ANY (e_run)
                    ORDER BY put.seq
                    ON CONFLICT DO NOTHING RETURNING run_id)
            SELECT array_agg(DISTINCT run_id) INTO more FROM told;
            woken := woken || coalesce(more, '{}');
        END IF;
        IF cardinality(w_run) > 0 THEN
            INSERT INTO waiter (run_id, key, namespace, type, subject_match, since_us)
                SELECT w.r, w.k, w.n, w.t, CASE WHEN w.s IS NULL THEN '*' ELSE '=' || w.s END, w.since
                FROM unnest(w_run, w_key, w_namespace, w_type, w_subject, w_since) AS w(r, k, n, t, s, since)
                ON CONFLICT DO NOTHING;
            WITH told AS (
                INSERT INTO message (run_id, message_id, shard, kind, name, at_us, event)
                    SELECT w.r, 'event:' || e.source || ':' || e.id, get_byte(w.r, 15), 'event', w.k, p_at, e.seq
                    FROM unnest(w_run, w_key, w_namespace, w_type, w_subject, w_since) AS w(r, k, n, t, s, since)
                    CROSS JOIN LATERAL (
                        SELECT seq, source, id FROM event WHERE namespace = w.n AND type = w.t AND subject = w.s
                            AND received_us >= w.since ORDER BY received_us, seq LIMIT 100) AS e
                    WHERE w.s IS NOT NULL
                    ON CONFLICT DO NOTHING RETURNING run_id)
            SELECT array_agg(DISTINCT run_id) INTO more FROM told;
            woken := woken || coalesce(more, '{}');
        END IF;
        -- After putting: a repeat of a message that is being taken goes with it.
        IF cardinality(t_run) > 0 THEN
            DELETE FROM message USING unnest(t_run, t_id) AS t(run_id, id)
                WHERE message.run_id = t.run_id AND message.message_id = t.id;
        END IF;
    END IF;
    IF cardinality(e_run) > 0 THEN
        INSERT INTO closed_run (run_id, namespace, workflow, version, key, parent, corr_id, opened_us, closed_us,
                outcome, detail)
            SELECT r.run_id, r.namespace, r.workflow, r.version, r.key, r.parent, r.corr_id, r.opened_us, e.closed,
                e.outcome, e.detail
            FROM unnest(e_run, e_closed, e_outcome, e_detail) AS e(run_id, closed, outcome, detail)
            JOIN run AS r ON r.run_id = e.run_id;
        DELETE FROM run WHERE run_id = ANY (e_run);
        DELETE FROM timer WHERE run_id = ANY (e_run);
        WITH gone AS (DELETE FROM message WHERE run_id = ANY (e_run)
                RETURNING run_id, message_id, kind, name, at_us, arrival, body)
            INSERT INTO unread SELECT * FROM gone WHERE kind = 'signal' ON CONFLICT DO NOTHING;
        DELETE FROM waiter WHERE run_id = ANY (e_run);
    END IF;
    IF num_nonnulls(l_id, r_id) > 0 THEN
        IF cardinality(l_id) > 0 THEN
            INSERT INTO dead_letter (letter_id, namespace, subscription, cause, at_us, replayed_us, event)
                SELECT * FROM unnest(l_id, l_namespace, l_subscription, l_cause, l_at, l_replayed, l_event);
        END IF;
        IF cardinality(r_id) > 0 THEN
            UPDATE dead_letter SET replayed_us = r.at FROM unnest(r_id, r_at) AS r(id, at) WHERE letter_id = r.id;
        END IF;
    END IF;
    INSERT INTO seal (chain, n, writer, epoch, at_us, prev, hash, leaves, places, decisions)
        VALUES (p_chain, p_n, p_writer, p_epoch, p_at, p_prev, p_hash, p_leaves, p_places, p_decisions);
    RETURN woken;
END
$rco$;

-- migrate:down

CREATE OR REPLACE FUNCTION rco_flush(
    p_node text, p_boot bytea, p_chain text, p_n bigint, p_writer text, p_epoch bigint, p_at bigint, p_prev bytea, p_hash bytea, p_leaves bytea, p_places bytea, p_decisions bytea,
    f_shard smallint[], f_epoch bigint[],
    j_run bytea[], j_seq integer[], j_data bytea[],
    c_digest bytea[], c_corr text[], c_expires bigint[],
    k_namespace text[], k_key text[], k_request bytea[], k_run bytea[], k_must boolean[],
    o_run bytea[], o_namespace text[], o_workflow text[], o_version text[], o_mode smallint[], o_key text[], o_parent bytea[], o_corr text[], o_opened bigint[], o_detail bytea[],
    m_run bytea[], m_mode smallint[], m_detail bytea[], m_due bigint[],
    x_run bytea[], x_key text[],
    v_namespace text[], v_id text[], v_source text[], v_type text[], v_subject text[], v_time bigint[], v_received bigint[], v_corr text[], v_origin text[], v_trace text[], v_data bytea[],
    w_run bytea[], w_key text[], w_namespace text[], w_type text[], w_subject text[], w_since bigint[],
    g_run bytea[], g_id text[], g_kind text[], g_name text[], g_at bigint[], g_body bytea[], g_must boolean[],
    t_run bytea[], t_id text[],
    e_run bytea[], e_closed bigint[], e_outcome text[], e_detail bytea[],
    l_id bytea[], l_namespace text[], l_subscription text[], l_cause text[], l_at bigint[], l_replayed bigint[], l_event bytea[],
    r_id bytea[], r_at bigint[]
) RETURNS bytea[] LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan
AS $rco$
DECLARE
    held integer;
    head_n bigint;
    head_hash bytea;
    woken bytea[] := '{}';
    more bytea[];
BEGIN
    -- One flush a chain at a time: what a lost connection left behind ends before its repeat is judged.
    PERFORM pg_advisory_xact_lock(7305, hashtext(p_chain));
    SELECT n, hash INTO head_n, head_hash FROM seal WHERE chain = p_chain ORDER BY n DESC LIMIT 1;
    IF head_n = p_n AND head_hash = p_hash THEN
        RETURN NULL;
    END IF;

    -- The fence: a take-over of this node's shards holds this lock alone (rco_take). What is read after it stands
    -- until this transaction ends.
    PERFORM pg_advisory_xact_lock_shared(7302, hashtext(p_node));
    IF NOT EXISTS (SELECT 1 FROM node WHERE name = p_node AND boot_id = p_boot) THEN
        RAISE EXCEPTION 'fenced: another process has the name %', p_node USING ERRCODE = 'RC001';
    END IF;
    IF cardinality(f_shard) > 0 THEN
        SELECT count(*) INTO held FROM unnest(f_shard, f_epoch) AS f(shard, epoch)
            JOIN lease USING (shard, epoch) WHERE lease.owner = p_node;
        IF held <> cardinality(f_shard) THEN
            RAISE EXCEPTION 'fenced: % of % shards are owned by %', held, cardinality(f_shard), p_node
                USING ERRCODE = 'RC001';
        END IF;
    END IF;
    IF coalesce(head_n, 0) <> p_n - 1 OR (head_n > 0 AND head_hash <> p_prev) THEN
        RAISE EXCEPTION 'rewound: chain % stands at link %, expected %', p_chain, coalesce(head_n, 0), p_n - 1
            USING ERRCODE = 'RC003';
    END IF;

    IF cardinality(c_digest) > 0 THEN
        INSERT INTO claim (digest, corr_id, expires_us)
            SELECT * FROM unnest(c_digest, c_corr, c_expires) ORDER BY 1
            ON CONFLICT (digest) DO UPDATE SET corr_id = excluded.corr_id, expires_us = excluded.expires_us
            WHERE claim.expires_us <= p_at;
        GET DIAGNOSTICS held = ROW_COUNT;
        IF held <> cardinality(c_digest) THEN
            RAISE EXCEPTION 'a claim was taken meanwhile' USING ERRCODE = 'RC002';
        END IF;
    END IF;
    IF cardinality(k_key) > 0 THEN
        WITH put AS (
            INSERT INTO start_key (namespace, key, request, run_id)
                SELECT k.n, k.k, k.q, k.r FROM unnest(k_namespace, k_key, k_request, k_run) AS k(n, k, q, r)
                ORDER BY 1, 2 ON CONFLICT (namespace, key) DO NOTHING RETURNING run_id)
        SELECT count(*) INTO held FROM unnest(k_run, k_must) AS k(run_id, must)
            WHERE must AND NOT EXISTS (SELECT 1 FROM put WHERE put.run_id = k.run_id);
        IF held > 0 THEN
            RAISE EXCEPTION 'a start key was taken meanwhile' USING ERRCODE = 'RC002';
        END IF;
    END IF;
    IF cardinality(o_run) > 0 THEN
        INSERT INTO run (shard, run_id, namespace, workflow, version, mode, key, parent, corr_id, opened_us, detail)
            SELECT get_byte(o.run_id, 15), o.*
            FROM unnest(o_run, o_namespace, o_workflow, o_version, o_mode, o_key, o_parent, o_corr, o_opened, o_detail)
            AS o(run_id, namespace, workflow, version, mode, key, parent, corr_id, opened_us, detail);
    END IF;
    IF cardinality(j_run) > 0 THEN
        INSERT INTO journal (run_id, first_seq, chain, n, data)
            SELECT j.run_id, j.seq, p_chain, p_n, j.data FROM unnest(j_run, j_seq, j_data) AS j(run_id, seq, data);
    END IF;
    IF cardinality(m_run) > 0 THEN
        UPDATE run SET mode = m.mode, detail = m.detail
            FROM unnest(m_run, m_mode, m_detail) AS m(run_id, mode, detail) WHERE run.run_id = m.run_id;
        DELETE FROM timer WHERE run_id = ANY (m_run);
        INSERT INTO timer (run_id, shard, due_us)
            SELECT m.run_id, get_byte(m.run_id, 15), m.due FROM unnest(m_run, m_due) AS m(run_id, due)
            WHERE m.due IS NOT NULL;
    END IF;
    IF cardinality(x_run) > 0 THEN
        DELETE FROM waiter USING unnest(x_run, x_key) AS x(run_id, key)
            WHERE waiter.run_id = x.run_id AND waiter.key = x.key;
    END IF;

    -- An event and a wait for it that come at the same moment on two nodes must not miss each other: both take the lock
    -- of the event's type, who waits takes it alone, and all take them in one order.
    IF cardinality(v_id) > 0 OR cardinality(w_run) > 0 THEN
        PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(7303, slot) ELSE pg_advisory_xact_lock_shared(7303, slot) END
            FROM (SELECT slot, bool_or(waits) AS alone FROM (
                SELECT hashtext(n || E'\x01' || t) AS slot, false AS waits FROM unnest(v_namespace, v_type) AS v(n, t)
                UNION ALL
                SELECT hashtext(n || E'\x01' || t), true FROM unnest(w_namespace, w_type) AS w(n, t)) AS each
                GROUP BY slot ORDER BY slot) AS slots;
    END IF;
    IF cardinality(g_run) > 0 THEN
        -- The run's row is locked against closing: who closes it afterwards sees the message and takes it along.
        PERFORM 1 FROM run WHERE run_id = ANY (g_run) ORDER BY run_id FOR KEY SHARE;
        SELECT count(*) INTO held FROM unnest(g_run, g_must) AS g(run_id, must)
            WHERE must AND NOT EXISTS (SELECT 1 FROM run WHERE run.run_id = g.run_id);
        IF held > 0 THEN
            RAISE EXCEPTION 'a run was closed meanwhile' USING ERRCODE = 'RC002';
        END IF;
        WITH told AS (
            INSERT INTO message (run_id, message_id, shard, kind, name, at_us, body)
                SELECT g.r, g.i, get_byte(g.r, 15), g.k, g.n, g.at, g.b
                FROM unnest(g_run, g_id, g_kind, g_name, g_at, g_body) WITH ORDINALITY AS g(r, i, k, n, at, b, place)
                WHERE EXISTS (SELECT 1 FROM run WHERE run.run_id = g.r)
                ORDER BY g.place
                ON CONFLICT DO NOTHING RETURNING run_id)
        SELECT array_agg(DISTINCT run_id) INTO more FROM told;
        woken := woken || coalesce(more, '{}');
    END IF;
    IF cardinality(v_id) > 0 THEN
        WITH put AS (
            INSERT INTO event (namespace, id, source, type, subject, time_us, received_us, corr_id, origin, trace, data)
                SELECT * FROM unnest(v_namespace, v_id, v_source, v_type, v_subject, v_time, v_received, v_corr,
                    v_origin, v_trace, v_data)
                RETURNING seq, namespace, id, source, type, subject),
        told AS (
            INSERT INTO message (run_id, message_id, shard, kind, name, at_us, event)
                SELECT w.run_id, 'event:' || put.source || ':' || put.id, get_byte(w.run_id, 15), 'event', w.key, p_at,
                    put.seq
                FROM put JOIN waiter AS w ON w.namespace = put.namespace AND w.type = put.type
                    AND w.subject_match IN ('*', '=' || put.subject)
                -- Not for a run that is being closed on another node: nobody would ever remove the message.
                CROSS JOIN LATERAL (SELECT 1 FROM run WHERE run.run_id = w.run_id FOR KEY SHARE) AS open
                WHERE NOT w.run_id = ANY (e_run)
                ORDER BY put.seq
                ON CONFLICT DO NOTHING RETURNING run_id)
        SELECT array_agg(DISTINCT run_id) INTO more FROM told;
        woken := woken || coalesce(more, '{}');
    END IF;
    IF cardinality(w_run) > 0 THEN
        INSERT INTO waiter (run_id, key, namespace, type, subject_match, since_us)
            SELECT w.r, w.k, w.n, w.t, CASE WHEN w.s IS NULL THEN '*' ELSE '=' || w.s END, w.since
            FROM unnest(w_run, w_key, w_namespace, w_type, w_subject, w_since) AS w(r, k, n, t, s, since)
            ON CONFLICT DO NOTHING;
        WITH told AS (
            INSERT INTO message (run_id, message_id, shard, kind, name, at_us, event)
                SELECT w.r, 'event:' || e.source || ':' || e.id, get_byte(w.r, 15), 'event', w.k, p_at, e.seq
                FROM unnest(w_run, w_key, w_namespace, w_type, w_subject, w_since) AS w(r, k, n, t, s, since)
                CROSS JOIN LATERAL (
                    SELECT seq, source, id FROM event WHERE namespace = w.n AND type = w.t AND subject = w.s
                        AND received_us >= w.since ORDER BY received_us, seq LIMIT 100) AS e
                WHERE w.s IS NOT NULL
                ON CONFLICT DO NOTHING RETURNING run_id)
        SELECT array_agg(DISTINCT run_id) INTO more FROM told;
        woken := woken || coalesce(more, '{}');
    END IF;
    -- After putting: a repeat of a message that is being taken goes with it.
    IF cardinality(t_run) > 0 THEN
        DELETE FROM message USING unnest(t_run, t_id) AS t(run_id, id)
            WHERE message.run_id = t.run_id AND message.message_id = t.id;
    END IF;
    IF cardinality(e_run) > 0 THEN
        INSERT INTO closed_run (run_id, namespace, workflow, version, key, parent, corr_id, opened_us, closed_us,
                outcome, detail)
            SELECT r.run_id, r.namespace, r.workflow, r.version, r.key, r.parent, r.corr_id, r.opened_us, e.closed,
                e.outcome, e.detail
            FROM unnest(e_run, e_closed, e_outcome, e_detail) AS e(run_id, closed, outcome, detail)
            JOIN run AS r ON r.run_id = e.run_id;
        DELETE FROM run WHERE run_id = ANY (e_run);
        DELETE FROM timer WHERE run_id = ANY (e_run);
        WITH gone AS (DELETE FROM message WHERE run_id = ANY (e_run)
                RETURNING run_id, message_id, kind, name, at_us, arrival, body)
            INSERT INTO unread SELECT * FROM gone WHERE kind = 'signal' ON CONFLICT DO NOTHING;
        DELETE FROM waiter WHERE run_id = ANY (e_run);
    END IF;
    IF cardinality(l_id) > 0 THEN
        INSERT INTO dead_letter (letter_id, namespace, subscription, cause, at_us, replayed_us, event)
            SELECT * FROM unnest(l_id, l_namespace, l_subscription, l_cause, l_at, l_replayed, l_event);
    END IF;
    IF cardinality(r_id) > 0 THEN
        UPDATE dead_letter SET replayed_us = r.at FROM unnest(r_id, r_at) AS r(id, at) WHERE letter_id = r.id;
    END IF;
    INSERT INTO seal (chain, n, writer, epoch, at_us, prev, hash, leaves, places, decisions)
        VALUES (p_chain, p_n, p_writer, p_epoch, p_at, p_prev, p_hash, p_leaves, p_places, p_decisions);
    RETURN woken;
END
$rco$;
