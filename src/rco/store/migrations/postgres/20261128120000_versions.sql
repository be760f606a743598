-- migrate:up

-- What code each version of the application stands for: a digest of its sources.
CREATE TABLE app_version (
    name text PRIMARY KEY,
    digest text NOT NULL,
    first_us bigint NOT NULL
);

-- Which node can run which versions; an empty name: every run.
CREATE TABLE node_version (
    node text NOT NULL,
    name text NOT NULL,
    current boolean NOT NULL,
    PRIMARY KEY (node, name)
);

-- A node has these versions and no others. Names that stand for other code while an open run is pinned to them are
-- returned with that code's digest, and then nothing is written. One announcement at a time: of two nodes that bring a
-- name with different code, one is refused.
CREATE FUNCTION rco_announce(p_node text, p_names text[], p_digests text[], p_current text, p_at bigint)
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

-- Runs that go on with another version, in the same statement as their flush and so in the same commit: p_woken is what
-- that returned. NULL says that this flush stands already, and this with it.
CREATE FUNCTION rco_versions(p_woken bytea[], v_run bytea[], v_version text[]) RETURNS bytea[]
LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NOT NULL THEN
        UPDATE run SET version = v.version FROM unnest(v_run, v_version) AS v(run_id, version)
            WHERE run.run_id = v.run_id;
    END IF;
    RETURN p_woken;
END
$rco$;

-- As with rco_flush: the arrays are small beside the table.
ALTER FUNCTION rco_versions SET enable_seqscan = off;
ALTER FUNCTION rco_versions SET enable_hashjoin = off;
ALTER FUNCTION rco_versions SET enable_mergejoin = off;

-- migrate:down

DROP FUNCTION rco_versions;
DROP FUNCTION rco_announce;
DROP TABLE node_version;
DROP TABLE app_version;
