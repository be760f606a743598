-- What RCO keeps in a database of yours: one row for each transactional step, written by the transaction of the step.
-- May be run again: it changes nothing that is there.
CREATE SCHEMA IF NOT EXISTS rco;
REVOKE ALL ON SCHEMA rco FROM PUBLIC;

CREATE TABLE IF NOT EXISTS rco.rco_step (
    run_id uuid NOT NULL,
    step_key text NOT NULL CHECK (length(step_key) <= 2000),
    fingerprint bytea NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The step's result in MessagePack; empty only while its transaction is under way.
    result bytea,
    PRIMARY KEY (run_id, step_key)
);

CREATE INDEX IF NOT EXISTS rco_step_by_time ON rco.rco_step (at, run_id, step_key);

-- No record without its result is ever committed, also when a step's function ends the transaction by itself.
CREATE OR REPLACE FUNCTION rco.rco_step_whole() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM rco.rco_step WHERE run_id = NEW.run_id AND step_key = NEW.step_key AND result IS NULL
    ) THEN
        RAISE EXCEPTION 'the transaction of step % of run % ends without its result', NEW.step_key, NEW.run_id
            USING ERRCODE = 'RC010', HINT = 'A step''s function may not commit: RCO does when it returns.';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgname = 'rco_step_whole' AND tgrelid = 'rco.rco_step'::regclass
    ) THEN
        CREATE CONSTRAINT TRIGGER rco_step_whole AFTER INSERT ON rco.rco_step
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rco.rco_step_whole();
    END IF;
END
$$;
