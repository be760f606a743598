-- The outbox: runs are started and signals sent by the transaction that calls these functions, if it commits.
-- May be run again: it changes no entry that is there.
CREATE SCHEMA IF NOT EXISTS rco_outbox;
REVOKE ALL ON SCHEMA rco_outbox FROM PUBLIC;

CREATE TABLE IF NOT EXISTS rco_outbox.entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What it is recognised by if it is read twice.
    entry_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- A part of the outbox that one node reads at a time. Entries of one ordering are in one lane.
    lane smallint NOT NULL,
    ordering text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('start', 'signal', 'event')),
    name text NOT NULL,
    key text,
    run_id uuid,
    message_id text,
    corr_id text,
    body jsonb,
    by_role name NOT NULL DEFAULT session_user,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries integer NOT NULL DEFAULT 0,
    due timestamptz
);
CREATE INDEX IF NOT EXISTS entry_by_lane ON rco_outbox.entry (lane, id);
CREATE INDEX IF NOT EXISTS entry_put_off ON rco_outbox.entry (lane, ordering, id) WHERE due IS NOT NULL;

CREATE TABLE IF NOT EXISTS rco_outbox.dead_letter (
    entry_id uuid PRIMARY KEY,
    ordering text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    key text,
    run_id uuid,
    message_id text,
    corr_id text,
    body jsonb,
    by_role name NOT NULL,
    at timestamptz NOT NULL,
    cause text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS dead_letter_by_time ON rco_outbox.dead_letter (refused_at);

CREATE TABLE IF NOT EXISTS rco_outbox.lane (lane smallint PRIMARY KEY);
INSERT INTO rco_outbox.lane SELECT generate_series(0, 15) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS rco_outbox.setting (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    body_limit_bytes integer NOT NULL DEFAULT 1048576 CHECK (body_limit_bytes > 0)
);
INSERT INTO rco_outbox.setting DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Set by a node that found nothing and goes to sleep. Only then does an entry ring: while nodes are at work nobody
-- pays for NOTIFY, which takes one lock of the whole server for the length of a commit.
CREATE TABLE IF NOT EXISTS rco_outbox.doorbell (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    waiting boolean NOT NULL DEFAULT true
);
INSERT INTO rco_outbox.doorbell DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION rco_outbox.put(
    kind text, name text, key text, run_id uuid, message_id text, ordering text, corr_id text, body jsonb
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given uuid := gen_random_uuid();
    size integer := octet_length(body::text);
    largest integer := (SELECT s.body_limit_bytes FROM rco_outbox.setting AS s);
    -- In its order are the entries of one ordering: what was given, else the key, else the run, else nothing.
    line text := coalesce(ordering, key, run_id::text, given::text);
BEGIN
    IF name IS NULL OR name = '' OR length(name) > 200 THEN
        RAISE EXCEPTION 'rco_outbox: the name of a % has 1 to 200 characters', kind USING ERRCODE = 'RC020';
    END IF;
    IF greatest(length(key), length(message_id), length(ordering), length(corr_id)) > 400 THEN
        RAISE EXCEPTION 'rco_outbox: key, message id, ordering and correlation id have at most 400 characters'
            USING ERRCODE = 'RC020';
    END IF;
    IF size > largest THEN
        RAISE EXCEPTION 'rco_outbox: % bytes of JSON; the limit is %', size, largest
            USING ERRCODE = 'RC020', HINT = 'Keep it in a table of yours and give its key.';
    END IF;
    INSERT INTO rco_outbox.entry (entry_id, lane, ordering, kind, name, key, run_id, message_id, corr_id, body)
    VALUES (given, hashtext(line) & 15, line, kind, name, key, run_id, message_id, corr_id, body);
    IF (SELECT d.waiting FROM rco_outbox.doorbell AS d) THEN
        PERFORM pg_notify('rco_outbox', '');
    END IF;
    RETURN given;
END
$$;

-- Start a run of WORKFLOW, once for each KEY. The same key with another input is refused.
CREATE OR REPLACE FUNCTION rco_outbox.start(
    workflow text, input jsonb DEFAULT NULL, key text DEFAULT NULL, ordering text DEFAULT NULL,
    corr_id text DEFAULT NULL
) RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT rco_outbox.put('start', workflow, key, NULL, NULL, ordering, corr_id, input)
$$;

-- Send a signal to the run that was started under KEY, or to RUN_ID. The same MESSAGE_ID is taken once.
CREATE OR REPLACE FUNCTION rco_outbox.signal(
    name text, value jsonb DEFAULT NULL, key text DEFAULT NULL, run_id uuid DEFAULT NULL,
    message_id text DEFAULT NULL, ordering text DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (key IS NULL) = (run_id IS NULL) THEN
        RAISE EXCEPTION 'rco_outbox: a signal goes to a key or to a run_id: give one of them' USING ERRCODE = 'RC020';
    END IF;
    RETURN rco_outbox.put('signal', name, key, run_id, message_id, ordering, NULL, value);
END
$$;

-- Publish an event: it starts who subscribes and wakes who waits. Events about one SUBJECT stay in order.
CREATE OR REPLACE FUNCTION rco_outbox.emit(
    type text, data jsonb DEFAULT NULL, subject text DEFAULT NULL, event_id text DEFAULT NULL,
    ordering text DEFAULT NULL, corr_id text DEFAULT NULL
) RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT rco_outbox.put('event', type, subject, NULL, event_id, ordering, corr_id, data)
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA rco_outbox FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rco_outbox FROM PUBLIC;
