-- migrate:up

-- The size of the payload behind a use: quotas of stored bytes count it. 0: written before they did.
ALTER TABLE payload_use ADD COLUMN size_bytes bigint NOT NULL DEFAULT 0;

-- Beside the one without sizes, which nodes of the release before go on calling until they are replaced.
CREATE FUNCTION rco_payloads(
    p_woken bytea[], u_name bytea[], u_kind smallint[], u_who bytea[], u_namespace text[], u_size bigint[]
) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO payload_use (name, kind, who, namespace, size_bytes)
        SELECT * FROM unnest(u_name, u_kind, u_who, u_namespace, u_size) ON CONFLICT DO NOTHING;
    RETURN p_woken;
END
$rco$;

-- Whether what a use names is there: then, and only then, it counts.
CREATE FUNCTION rco_is_used(u payload_use) RETURNS boolean LANGUAGE sql STABLE AS $rco$
    SELECT CASE u.kind
        WHEN 0 THEN EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = u.who)
            OR EXISTS (SELECT 1 FROM closed_run AS c WHERE c.run_id = u.who)
        WHEN 1 THEN EXISTS (SELECT 1 FROM event AS e
            WHERE e.namespace = u.namespace AND e.id = convert_from(u.who, 'UTF8'))
        WHEN 2 THEN EXISTS (SELECT 1 FROM dead_letter AS d WHERE d.letter_id = u.who)
        WHEN 3 THEN EXISTS (SELECT 1 FROM schedule AS s WHERE s.schedule_id = u.who AND s.payload = u.name)
        ELSE true
    END
$rco$;

-- As before, and what is kept by reference: each object once, whoever refers to it.
CREATE OR REPLACE FUNCTION rco_recount(p_name text, p_at bigint, p_open boolean, p_bytes boolean) RETURNS void
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM 1 FROM namespace WHERE name = p_name FOR UPDATE;
    IF p_open THEN
        UPDATE namespace SET counted_us = p_at, open_runs = (SELECT count(*) FROM run
            WHERE namespace = p_name AND left(workflow, 4) <> 'rco.') WHERE name = p_name;
    END IF;
    IF p_bytes THEN
        UPDATE namespace SET stored_bytes =
            (SELECT coalesce(sum(length(data)), 0) FROM event WHERE namespace = p_name)
            + (SELECT coalesce(sum(length(j.data)), 0) FROM (
                SELECT run_id FROM run WHERE namespace = p_name AND parent IS NULL AND left(workflow, 4) <> 'rco.'
                UNION ALL SELECT run_id FROM closed_run WHERE namespace = p_name AND parent IS NULL
                    AND left(workflow, 4) <> 'rco.') AS r
                JOIN journal AS j ON j.run_id = r.run_id AND j.first_seq = 0)
            + (SELECT coalesce(sum(k.size_bytes), 0) FROM (
                SELECT max(u.size_bytes) AS size_bytes FROM payload_use AS u
                    WHERE u.namespace = p_name AND u.size_bytes > 0 AND rco_is_used(u) GROUP BY u.name) AS k)
            WHERE name = p_name;
    END IF;
END
$rco$;

-- migrate:down

CREATE OR REPLACE FUNCTION rco_recount(p_name text, p_at bigint, p_open boolean, p_bytes boolean) RETURNS void
LANGUAGE plpgsql AS $rco$
BEGIN
    PERFORM 1 FROM namespace WHERE name = p_name FOR UPDATE;
    IF p_open THEN
        UPDATE namespace SET counted_us = p_at, open_runs = (SELECT count(*) FROM run
            WHERE namespace = p_name AND left(workflow, 4) <> 'rco.') WHERE name = p_name;
    END IF;
    IF p_bytes THEN
        UPDATE namespace SET stored_bytes =
            (SELECT coalesce(sum(length(data)), 0) FROM event WHERE namespace = p_name)
            + (SELECT coalesce(sum(length(j.data)), 0) FROM (
                SELECT run_id FROM run WHERE namespace = p_name AND parent IS NULL AND left(workflow, 4) <> 'rco.'
                UNION ALL SELECT run_id FROM closed_run WHERE namespace = p_name AND parent IS NULL
                    AND left(workflow, 4) <> 'rco.') AS r
                JOIN journal AS j ON j.run_id = r.run_id AND j.first_seq = 0) WHERE name = p_name;
    END IF;
END
$rco$;

DROP FUNCTION rco_is_used;
DROP FUNCTION rco_payloads(bytea[], bytea[], smallint[], bytea[], text[], bigint[]);
ALTER TABLE payload_use DROP COLUMN size_bytes;
