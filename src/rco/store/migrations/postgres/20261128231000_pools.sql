-- migrate:up

-- Runs that are pinned to a version have 256 shards of their own: the pool that has the pin for its name. Shards 0 to 255
-- are the pool 'default', of what is pinned to nothing. Pools stand one behind the other, each of them whole; one that no
-- open run and no living node needs is given to the next version that comes.
ALTER TABLE lease DROP CONSTRAINT lease_shard_check;
ALTER TABLE lease ADD CONSTRAINT lease_shard_check CHECK (shard >= 0);

-- See to it that this pin has a pool. One at a time: who calls it holds the lock of announcements.
CREATE FUNCTION rco_pool(p_pin text) RETURNS void
LANGUAGE plpgsql AS $rco$
DECLARE
    base integer;
    holder text;
BEGIN
    IF EXISTS (SELECT 1 FROM lease WHERE pool = p_pin) THEN
        RETURN;
    END IF;
    SELECT min(l.shard) INTO base FROM lease AS l WHERE l.shard >= 256 AND l.shard % 256 = 0
        AND NOT EXISTS (SELECT 1 FROM run AS r WHERE r.version = l.pool)
        AND NOT EXISTS (SELECT 1 FROM node_version AS v JOIN node AS n ON n.name = v.node
            WHERE '@' || v.name = l.pool AND n.alive_until > clock_timestamp())
        AND NOT EXISTS (SELECT 1 FROM rewind AS w WHERE w.accepted_us IS NULL
            AND w.shards && ARRAY(SELECT generate_series(l.shard, l.shard + 255)::smallint));
    IF base IS NOT NULL THEN
        -- A flush of who had it last that is under way ends first; what that sends afterwards is fenced.
        FOR holder IN SELECT DISTINCT owner FROM lease WHERE shard BETWEEN base AND base + 255 AND owner IS NOT NULL
                ORDER BY 1 LOOP
            PERFORM pg_advisory_xact_lock(7302, hashtext(holder));
        END LOOP;
        IF NOT EXISTS (SELECT 1 FROM run WHERE version = (SELECT pool FROM lease WHERE shard = base)) THEN
            UPDATE lease SET pool = p_pin, owner = NULL, epoch = epoch + 1 WHERE shard BETWEEN base AND base + 255;
            RETURN;
        END IF;
    END IF;
    SELECT max(shard) + 1 INTO base FROM lease;
    IF base > 32512 THEN
        RAISE EXCEPTION 'there are pools for 127 versions already, and open runs or nodes need each of them';
    END IF;
    INSERT INTO lease (shard, pool) SELECT base + g, p_pin FROM generate_series(0, 255) AS g;
END
$rco$;

-- As before, and each name has its pool.
CREATE OR REPLACE FUNCTION rco_announce(p_node text, p_names text[], p_digests text[], p_current text, p_at bigint)
RETURNS TABLE (name text, digest text)
LANGUAGE plpgsql AS $rco$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(7306, 0);
    RETURN QUERY SELECT k.name, k.digest FROM app_version AS k
        JOIN unnest(p_names, p_digests) AS p(name, digest) ON p.name = k.name AND p.digest <> k.digest
        WHERE EXISTS (SELECT 1 FROM run AS r WHERE r.version = '@' || k.name);
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO app_version AS k (name, digest, first_us)
        SELECT p.name, p.digest, p_at FROM unnest(p_names, p_digests) AS p(name, digest)
        ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, first_us = excluded.first_us
        WHERE k.digest <> excluded.digest;
    DELETE FROM node_version WHERE node = p_node;
    INSERT INTO node_version (node, name, current) SELECT p_node, n, n = p_current FROM unnest(p_names) AS n;
    IF NOT FOUND THEN
        INSERT INTO node_version (node, name, current) VALUES (p_node, '', false);
    END IF;
    PERFORM rco_pool('@' || n) FROM (SELECT n FROM unnest(p_names) AS n ORDER BY n) AS those;
END
$rco$;

-- The heartbeat under another name: a node of a release that knows nothing of pools must not take part in them.
DROP FUNCTION rco_beat;
CREATE FUNCTION rco_heartbeat(p_node text, p_boot bytea, p_ttl_s double precision, p_draining boolean, p_at bigint,
    p_chains text[],
    OUT own boolean, OUT names text[], OUT alive_s double precision[], OUT drains boolean[],
    OUT owners text[], OUT epochs bigint[], OUT heads bigint[], OUT pools text[],
    OUT have_node text[], OUT have_name text[])
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7302, hashtext(p_node));
    UPDATE node SET alive_until = clock_timestamp() + make_interval(secs => p_ttl_s),
            draining = draining OR p_draining,
            skew_us = p_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        WHERE name = p_node AND boot_id = p_boot;
    own := FOUND;
    SELECT array_agg(n.name ORDER BY n.name),
            array_agg(extract(epoch FROM n.alive_until - clock_timestamp())::double precision ORDER BY n.name),
            array_agg(n.draining ORDER BY n.name)
        INTO names, alive_s, drains FROM node AS n WHERE n.alive_until > '-infinity';
    SELECT array_agg(l.owner ORDER BY l.shard), array_agg(l.epoch ORDER BY l.shard),
            array_agg(l.pool ORDER BY l.shard) FILTER (WHERE l.shard >= 256 AND l.shard % 256 = 0)
        INTO owners, epochs, pools FROM lease AS l;
    SELECT array_agg(v.node ORDER BY v.node, v.name), array_agg(v.name ORDER BY v.node, v.name)
        INTO have_node, have_name FROM node_version AS v JOIN node AS n ON n.name = v.node
        WHERE n.alive_until > clock_timestamp();
    SELECT array_agg(coalesce((SELECT s.n FROM seal AS s WHERE s.chain = c.chain ORDER BY s.n DESC LIMIT 1), 0)
            ORDER BY c.place)
        INTO heads FROM unnest(p_chains) WITH ORDINALITY AS c(chain, place);
END
$rco$;

-- What is pinned already.
DO $rco$
BEGIN
    PERFORM rco_pool(pin) FROM (SELECT version AS pin FROM run WHERE left(version, 1) = '@'
        UNION SELECT '@' || v.name FROM node_version AS v JOIN node AS n ON n.name = v.node
            WHERE v.name <> '' AND n.alive_until > clock_timestamp()) AS those;
END
$rco$;

-- migrate:down

DROP FUNCTION rco_heartbeat;
DELETE FROM lease WHERE shard >= 256;
ALTER TABLE lease DROP CONSTRAINT lease_shard_check;
ALTER TABLE lease ADD CONSTRAINT lease_shard_check CHECK (shard BETWEEN 0 AND 255);

CREATE FUNCTION rco_beat(p_node text, p_boot bytea, p_ttl_s double precision, p_draining boolean, p_at bigint,
    p_chains text[],
    OUT own boolean, OUT names text[], OUT alive_s double precision[], OUT drains boolean[],
    OUT owners text[], OUT epochs bigint[], OUT heads bigint[])
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7302, hashtext(p_node));
    UPDATE node SET alive_until = clock_timestamp() + make_interval(secs => p_ttl_s),
            draining = draining OR p_draining,
            skew_us = p_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        WHERE name = p_node AND boot_id = p_boot;
    own := FOUND;
    SELECT array_agg(n.name ORDER BY n.name),
            array_agg(extract(epoch FROM n.alive_until - clock_timestamp())::double precision ORDER BY n.name),
            array_agg(n.draining ORDER BY n.name)
        INTO names, alive_s, drains FROM node AS n WHERE n.alive_until > '-infinity';
    SELECT array_agg(l.owner ORDER BY l.shard), array_agg(l.epoch ORDER BY l.shard) INTO owners, epochs FROM lease AS l;
    SELECT array_agg(coalesce((SELECT s.n FROM seal AS s WHERE s.chain = c.chain ORDER BY s.n DESC LIMIT 1), 0)
            ORDER BY c.place)
        INTO heads FROM unnest(p_chains) WITH ORDINALITY AS c(chain, place);
END
$rco$;

CREATE OR REPLACE FUNCTION rco_announce(p_node text, p_names text[], p_digests text[], p_current text, p_at bigint)
RETURNS TABLE (name text, digest text)
LANGUAGE plpgsql AS $rco$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(7306, 0);
    RETURN QUERY SELECT k.name, k.digest FROM app_version AS k
        JOIN unnest(p_names, p_digests) AS p(name, digest) ON p.name = k.name AND p.digest <> k.digest
        WHERE EXISTS (SELECT 1 FROM run AS r WHERE r.version = '@' || k.name);
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO app_version AS k (name, digest, first_us)
        SELECT p.name, p.digest, p_at FROM unnest(p_names, p_digests) AS p(name, digest)
        ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, first_us = excluded.first_us
        WHERE k.digest <> excluded.digest;
    DELETE FROM node_version WHERE node = p_node;
    INSERT INTO node_version (node, name, current) SELECT p_node, n, n = p_current FROM unnest(p_names) AS n;
    IF NOT FOUND THEN
        INSERT INTO node_version (node, name, current) VALUES (p_node, '', false);
    END IF;
END
$rco$;
DROP FUNCTION rco_pool;
