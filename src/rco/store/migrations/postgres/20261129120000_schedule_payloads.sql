-- migrate:up

-- The object that holds a schedule's input, where that is too large for the row: a use of it (payload_use, kind 3)
-- counts for as long as it is named here.
ALTER TABLE schedule ADD COLUMN payload bytea;

-- Beside the one of ten columns, which nodes of the release before go on calling until they are replaced.
-- What a flush does to schedules, in the same statement and so in the same commit: p_woken is what rco_flush returned.
-- NULL says that this flush stands already, its schedules with it. Raises RC002 when a schedule is not what the caller
-- had looked up; the flush is undone with it. Removing comes before putting in, so that a name can be used again.
CREATE FUNCTION rco_schedules(
    p_woken bytea[],
    s_id bytea[], s_expect bigint[], s_gone boolean[], s_namespace text[], s_name text[], s_origin text[],
    s_revision bigint[], s_due bigint[], s_rules text[], s_body bytea[], s_payload bytea[]
) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
DECLARE
    one integer;
    done integer := 0;
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM schedule USING unnest(s_id, s_expect, s_gone) AS s(id, expect, gone)
        WHERE s.gone AND schedule_id = s.id AND schedule.revision = s.expect;
    GET DIAGNOSTICS one = ROW_COUNT;
    done := done + one;
    UPDATE schedule SET revision = s.revision, due_us = s.due, rules = s.rules, body = s.body, origin = s.origin,
            payload = s.payload
        FROM unnest(s_id, s_expect, s_gone, s_origin, s_revision, s_due, s_rules, s_body, s_payload)
        AS s(id, expect, gone, origin, revision, due, rules, body, payload)
        WHERE NOT s.gone AND schedule_id = s.id AND schedule.revision = s.expect;
    GET DIAGNOSTICS one = ROW_COUNT;
    done := done + one;
    INSERT INTO schedule (schedule_id, shard, namespace, name, origin, revision, due_us, rules, body, payload)
        SELECT s.id, get_byte(s.id, 15), s.namespace, s.name, s.origin, s.revision, s.due, s.rules, s.body, s.payload
        FROM unnest(s_id, s_expect, s_gone, s_namespace, s_name, s_origin, s_revision, s_due, s_rules, s_body, s_payload)
        AS s(id, expect, gone, namespace, name, origin, revision, due, rules, body, payload)
        WHERE s.expect IS NULL AND NOT s.gone ORDER BY s.namespace, s.name
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS one = ROW_COUNT;
    done := done + one;
    IF done <> cardinality(s_id) THEN
        RAISE EXCEPTION 'a schedule was changed meanwhile' USING ERRCODE = 'RC002';
    END IF;
    RETURN p_woken;
END
$rco$;

-- As with rco_flush: the arrays are small beside the table.
ALTER FUNCTION rco_schedules(bytea[], bytea[], bigint[], boolean[], text[], text[], text[], bigint[], bigint[], text[], bytea[], bytea[])
    SET enable_seqscan = off;
ALTER FUNCTION rco_schedules(bytea[], bytea[], bigint[], boolean[], text[], text[], text[], bigint[], bigint[], text[], bytea[], bytea[])
    SET enable_hashjoin = off;
ALTER FUNCTION rco_schedules(bytea[], bytea[], bigint[], boolean[], text[], text[], text[], bigint[], bigint[], text[], bytea[], bytea[])
    SET enable_mergejoin = off;

-- migrate:down

DROP FUNCTION rco_schedules(bytea[], bytea[], bigint[], boolean[], text[], text[], text[], bigint[], bigint[], text[], bytea[], bytea[]);
ALTER TABLE schedule DROP COLUMN payload;
