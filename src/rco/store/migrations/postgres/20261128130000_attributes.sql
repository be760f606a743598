-- migrate:up

-- Search attributes: what runs are found by, made from their journals. type: 1 text, 2 number, 3 truth, 4 time.
CREATE TABLE run_attribute (
    run_id bytea NOT NULL,
    name text NOT NULL,
    namespace text NOT NULL,
    type smallint NOT NULL,
    text text,
    number double precision,
    PRIMARY KEY (run_id, name)
);

CREATE INDEX run_attribute_text ON run_attribute (namespace, name, text, run_id) WHERE text IS NOT NULL;
CREATE INDEX run_attribute_number ON run_attribute (namespace, name, type, number, run_id) WHERE number IS NOT NULL;

-- A closed run keeps them until it is gone itself.
CREATE FUNCTION rco_attributes_gone() RETURNS trigger LANGUAGE plpgsql AS $rco$
BEGIN
    DELETE FROM run_attribute AS a USING gone AS g WHERE a.run_id = g.run_id;
    RETURN NULL;
END
$rco$;
CREATE TRIGGER run_attribute_gone AFTER DELETE ON closed_run
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rco_attributes_gone();

-- What a flush does to attributes, in the same statement and so in the same commit: p_woken is what the rest of it
-- returned. NULL says that this flush stands already, its attributes with it.
CREATE FUNCTION rco_attributes(
    p_woken bytea[],
    a_run bytea[], a_name text[], a_namespace text[], a_type smallint[], a_text text[], a_number double precision[],
    g_run bytea[], g_name text[]
) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(g_run) > 0 THEN
        DELETE FROM run_attribute AS a USING unnest(g_run, g_name) AS g(run_id, name)
            WHERE a.run_id = g.run_id AND a.name = g.name;
    END IF;
    IF cardinality(a_run) > 0 THEN
        INSERT INTO run_attribute (run_id, name, namespace, type, text, number)
            SELECT * FROM unnest(a_run, a_name, a_namespace, a_type, a_text, a_number)
            ON CONFLICT (run_id, name) DO UPDATE
                SET type = excluded.type, text = excluded.text, number = excluded.number;
    END IF;
    RETURN p_woken;
END
$rco$;

-- As with rco_flush: the arrays are small beside the table.
ALTER FUNCTION rco_attributes SET enable_seqscan = off;
ALTER FUNCTION rco_attributes SET enable_hashjoin = off;
ALTER FUNCTION rco_attributes SET enable_mergejoin = off;
ALTER FUNCTION rco_attributes SET plan_cache_mode = force_generic_plan;

-- migrate:down

DROP FUNCTION rco_attributes;
DROP TRIGGER run_attribute_gone ON closed_run;
DROP FUNCTION rco_attributes_gone;
DROP TABLE run_attribute;
