-- migrate:up

-- How far a node's clock was ahead of this server's at its last heartbeat, the way there included.
ALTER TABLE node ADD COLUMN skew_us bigint;

-- Commits that a node had been told of and that are gone: what it wrote the chain to, and what was found. Its shards
-- stand still until somebody accepts what was lost, because a replay could repeat what must not be repeated.
CREATE TABLE rewind (
    chain text NOT NULL,
    at_us bigint NOT NULL,
    node text NOT NULL,
    known_n bigint NOT NULL,
    found_n bigint NOT NULL,
    shards smallint[] NOT NULL,
    accepted_us bigint,
    accepted_by text,
    reason text,
    PRIMARY KEY (chain, at_us)
);

DROP FUNCTION rco_beat;

-- As before; p_at is the node's own time, p_chains are its chains, and heads how far they go here.
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

-- A chain stands behind what the node had written: note it, and let nobody have the shards until it is accepted.
-- Works for a node that the database does not know any more, too.
CREATE FUNCTION rco_rewound(p_node text, p_chain text, p_at bigint, p_known bigint, p_found bigint,
    p_shards smallint[]) RETURNS void
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM pg_advisory_xact_lock(7302, hashtext(p_node));
    INSERT INTO rewind (chain, at_us, node, known_n, found_n, shards)
        VALUES (p_chain, p_at, p_node, p_known, p_found, p_shards) ON CONFLICT DO NOTHING;
    UPDATE lease SET owner = NULL, epoch = epoch + 1 WHERE shard = ANY (p_shards) AND owner = p_node;
END
$rco$;

-- As before, but for shards that stand still.
CREATE OR REPLACE FUNCTION rco_take(p_node text, p_boot bytea, p_shards smallint[])
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
                AND NOT EXISTS (SELECT 1 FROM rewind AS w WHERE w.accepted_us IS NULL AND l.shard = ANY (w.shards))
                AND EXISTS (SELECT 1 FROM node WHERE name = p_node AND boot_id = p_boot
                    AND alive_until > clock_timestamp())
            ORDER BY l.shard FOR UPDATE OF l)
        UPDATE lease AS l SET owner = p_node, epoch = l.epoch + 1 FROM free WHERE l.shard = free.shard
            RETURNING l.shard, l.epoch, free.owner;
END
$rco$;

-- migrate:down

DROP FUNCTION rco_rewound;
DROP FUNCTION rco_beat;
DROP TABLE rewind;
ALTER TABLE node DROP COLUMN skew_us;

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

CREATE OR REPLACE FUNCTION rco_take(p_node text, p_boot bytea, p_shards smallint[])
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
