-- migrate:up

-- A process takes a node's name. Refused (epoch NULL) while another process lives under it, unless p_force says that
-- this one is known to be dead; then pid tells which it is and alive_s how long its heartbeat still counts. Shards that
-- the name owned stay with it, under a new epoch.
CREATE FUNCTION rco_join(p_node text, p_boot bytea, p_pid integer, p_address text, p_at bigint, p_ttl_s double precision,
    p_force boolean) RETURNS TABLE (epoch bigint, pid integer, alive_s double precision)
LANGUAGE plpgsql AS $rco$
DECLARE
    was node%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(7302, hashtext(p_node));
    SELECT * INTO was FROM node WHERE name = p_node FOR UPDATE;
    IF was.alive_until > clock_timestamp() AND was.boot_id <> p_boot AND NOT p_force THEN
        RETURN QUERY SELECT NULL::bigint, was.pid,
            extract(epoch FROM was.alive_until - clock_timestamp())::double precision;
        RETURN;
    END IF;
    INSERT INTO node AS n (name, boot_id, epoch, pid, address, started_us, alive_until, draining)
        VALUES (p_node, p_boot, 1, p_pid, p_address, p_at, clock_timestamp() + make_interval(secs => p_ttl_s), false)
        ON CONFLICT (name) DO UPDATE SET boot_id = excluded.boot_id, epoch = n.epoch + 1, pid = excluded.pid,
            address = excluded.address, started_us = excluded.started_us, alive_until = excluded.alive_until,
            draining = false;
    UPDATE lease AS l SET epoch = l.epoch + 1 WHERE l.owner = p_node;
    RETURN QUERY SELECT n.epoch, n.pid, p_ttl_s FROM node AS n WHERE n.name = p_node;
END
$rco$;

-- The heartbeat, and all that a node wants to know at it: one round trip. own is false when another process has the
-- name. Taken under the same lock as a flush, so that a take-over that is under way is seen or sees this heartbeat.
CREATE FUNCTION rco_beat(p_node text, p_boot bytea, p_ttl_s double precision, p_draining boolean,
    OUT own boolean, OUT names text[], OUT alive_s double precision[], OUT drains boolean[],
    OUT owners text[], OUT epochs bigint[])
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7302, hashtext(p_node));
    UPDATE node SET alive_until = clock_timestamp() + make_interval(secs => p_ttl_s), draining = draining OR p_draining
        WHERE name = p_node AND boot_id = p_boot;
    own := FOUND;
    SELECT array_agg(n.name ORDER BY n.name),
            array_agg(extract(epoch FROM n.alive_until - clock_timestamp())::double precision ORDER BY n.name),
            array_agg(n.draining ORDER BY n.name)
        INTO names, alive_s, drains FROM node AS n WHERE n.alive_until > '-infinity';
    SELECT array_agg(l.owner ORDER BY l.shard), array_agg(l.epoch ORDER BY l.shard) INTO owners, epochs FROM lease AS l;
END
$rco$;

-- Take over shards of nodes that are dead, and those that nobody owns. Waits for a flush of the former owner that is
-- under way; whatever that owner sends afterwards is fenced. Returns what was taken, with the new epochs.
CREATE FUNCTION rco_take(p_node text, p_boot bytea, p_shards smallint[])
RETURNS TABLE (shard smallint, epoch bigint, former text)
LANGUAGE plpgsql AS $rco$
DECLARE
    victim text;
    victims text[] := '{}';
BEGIN
    FOR victim IN
        SELECT DISTINCT l.owner FROM lease AS l WHERE l.shard = ANY (p_shards) AND l.owner IS NOT NULL
            AND l.owner <> p_node
            AND NOT EXISTS (SELECT 1 FROM node WHERE name = l.owner AND alive_until > clock_timestamp()) ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(7302, hashtext(victim));
        victims := victims || victim;
    END LOOP;
    -- Only from those whose lock is held: while it was waited for, somebody else may have been faster.
    RETURN QUERY
        WITH free AS (
            SELECT l.shard, l.owner FROM lease AS l
            WHERE l.shard = ANY (p_shards) AND (l.owner IS NULL OR l.owner = ANY (victims))
                AND NOT EXISTS (SELECT 1 FROM node WHERE name = l.owner AND alive_until > clock_timestamp())
                AND EXISTS (SELECT 1 FROM node WHERE name = p_node AND boot_id = p_boot
                    AND alive_until > clock_timestamp())
            ORDER BY l.shard FOR UPDATE OF l)
        UPDATE lease AS l SET owner = p_node, epoch = l.epoch + 1 FROM free WHERE l.shard = free.shard
            RETURNING l.shard, l.epoch, free.owner;
END
$rco$;

-- Give shards back, after everything appended for them is flushed. p_leave: the process ends, and its name is free.
CREATE FUNCTION rco_release(p_node text, p_boot bytea, p_shards smallint[], p_leave boolean) RETURNS void
LANGUAGE plpgsql AS $rco$
BEGIN
    -- Alone: a flush that is under way has seen these shards as its own.
    PERFORM pg_advisory_xact_lock(7302, hashtext(p_node));
    IF NOT EXISTS (SELECT 1 FROM node WHERE name = p_node AND boot_id = p_boot) THEN
        RETURN;
    END IF;
    UPDATE lease SET owner = NULL WHERE shard = ANY (p_shards) AND owner = p_node;
    IF p_leave THEN
        UPDATE node SET alive_until = '-infinity' WHERE name = p_node AND boot_id = p_boot;
    END IF;
END
$rco$;

-- migrate:down

DROP FUNCTION rco_release;
DROP FUNCTION rco_take;
DROP FUNCTION rco_beat;
DROP FUNCTION rco_join;
