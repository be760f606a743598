-- migrate:up

-- quotas: JSON, {} for none. The rest is what was counted since there are quotas, in the commit that admitted it;
-- open_runs and stored_bytes are NULL when they must be counted anew, which the next admission does. open_runs is never
-- less than there are: closings do not touch the row, it is counted again when its bound is met. counted_us is when.
ALTER TABLE namespace ADD COLUMN state text NOT NULL DEFAULT 'active';
ALTER TABLE namespace ADD COLUMN quotas text NOT NULL DEFAULT '{}';
ALTER TABLE namespace ADD COLUMN revision bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN origin text NOT NULL DEFAULT 'api';
ALTER TABLE namespace ADD COLUMN open_runs bigint;
ALTER TABLE namespace ADD COLUMN stored_bytes bigint;
ALTER TABLE namespace ADD COLUMN counted_us bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN second bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN starts_second bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN day bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN starts_day bigint NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN events_day bigint NOT NULL DEFAULT 0;

ALTER TABLE namespace SET (fillfactor = 50);

-- Around a flush that admits for namespaces with quotas: count what it added, and let it stand only if every bound that
-- was asked (p_must) still holds. The row is locked until the commit, so what all nodes count is one count. RC002: the
-- flush is made again from what there is now. p_name is in order, so that two flushes never wait for each other.
CREATE FUNCTION rco_quota(p_woken bytea[], p_name text[], p_must boolean[], p_open bigint[], p_starts bigint[],
    p_events bigint[], p_bytes bigint[], p_schedules boolean[], p_second bigint, p_day bigint) RETURNS bytea[]
LANGUAGE plpgsql AS $rco$
DECLARE
    at integer;
    u namespace%ROWTYPE;
    q jsonb;
BEGIN
    FOR at IN 1 .. cardinality(p_name) LOOP
        UPDATE namespace AS n SET
                starts_second = CASE WHEN p_second > n.second THEN p_starts[at] ELSE n.starts_second + p_starts[at] END,
                second = greatest(n.second, p_second),
                starts_day = CASE WHEN p_day > n.day THEN p_starts[at] ELSE n.starts_day + p_starts[at] END,
                events_day = CASE WHEN p_day > n.day THEN p_events[at] ELSE n.events_day + p_events[at] END,
                day = greatest(n.day, p_day),
                open_runs = n.open_runs + p_open[at],
                stored_bytes = n.stored_bytes + p_bytes[at]
            WHERE n.name = p_name[at] RETURNING * INTO u;
        IF NOT p_must[at] OR NOT FOUND THEN
            CONTINUE;
        END IF;
        q := u.quotas::jsonb;
        IF u.state <> 'active'
            OR p_open[at] > 0 AND q ? 'open_runs'
                AND (u.open_runs IS NULL OR u.open_runs > (q ->> 'open_runs')::bigint)
            OR p_starts[at] > 0 AND q ? 'starts_per_s' AND u.starts_second > (q ->> 'starts_per_s')::bigint
            OR p_starts[at] > 0 AND q ? 'starts_per_day' AND u.starts_day > (q ->> 'starts_per_day')::bigint
            OR p_events[at] > 0 AND q ? 'events_per_day' AND u.events_day > (q ->> 'events_per_day')::bigint
            OR p_bytes[at] > 0 AND q ? 'stored_bytes'
                AND (u.stored_bytes IS NULL OR u.stored_bytes > (q ->> 'stored_bytes')::bigint)
            OR p_schedules[at] AND q ? 'schedules' AND (SELECT count(*) FROM schedule WHERE namespace = p_name[at])
                > (q ->> 'schedules')::bigint
        THEN
            RAISE EXCEPTION 'the quotas of % say otherwise by now', p_name[at] USING ERRCODE = 'RC002';
        END IF;
    END LOOP;
    RETURN p_woken;
END
$rco$;

-- Count anew what is not known, and what may be less by now. Whoever admits for the namespace waits, and so adds to what
-- is counted here.
CREATE FUNCTION rco_recount(p_name text, p_at bigint, p_open boolean, p_bytes boolean) RETURNS void
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

-- migrate:down

DROP FUNCTION rco_recount;
DROP FUNCTION rco_quota;
ALTER TABLE namespace RESET (fillfactor);
ALTER TABLE namespace DROP COLUMN events_day;
ALTER TABLE namespace DROP COLUMN starts_day;
ALTER TABLE namespace DROP COLUMN day;
ALTER TABLE namespace DROP COLUMN starts_second;
ALTER TABLE namespace DROP COLUMN second;
ALTER TABLE namespace DROP COLUMN counted_us;
ALTER TABLE namespace DROP COLUMN stored_bytes;
ALTER TABLE namespace DROP COLUMN open_runs;
ALTER TABLE namespace DROP COLUMN origin;
ALTER TABLE namespace DROP COLUMN revision;
ALTER TABLE namespace DROP COLUMN quotas;
ALTER TABLE namespace DROP COLUMN state;
