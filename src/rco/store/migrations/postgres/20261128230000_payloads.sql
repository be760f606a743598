-- migrate:up

-- What refers to an object of the object store: kind 0 a run, 1 an event, 2 a dead letter. A row counts for as long as
-- what it names is there, so nothing that removes those need know of it.
CREATE TABLE payload_use (
    name bytea NOT NULL,
    kind smallint NOT NULL,
    who bytea NOT NULL,
    namespace text NOT NULL,
    PRIMARY KEY (name, kind, who, namespace)
);

-- What this database's objects stand under: two that share a bucket never collect each other's.
CREATE TABLE payload_space (
    space text PRIMARY KEY
);

INSERT INTO payload_space (space) VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 16));

-- What a flush refers to, in the same statement and so in the same commit: p_woken is what the rest of it returned.
-- NULL says that this flush stands already, its references with it.
CREATE FUNCTION rco_payloads(
    p_woken bytea[], u_name bytea[], u_kind smallint[], u_who bytea[], u_namespace text[]
) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO payload_use (name, kind, who, namespace)
        SELECT * FROM unnest(u_name, u_kind, u_who, u_namespace) ON CONFLICT DO NOTHING;
    RETURN p_woken;
END
$rco$;

-- migrate:down

DROP FUNCTION rco_payloads;
DROP TABLE payload_space;
DROP TABLE payload_use;
