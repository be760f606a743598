-- migrate:up

-- Small objects whose bytes came with the commit that accepted them. They are moved to where objects are kept, many at
-- a time, and removed here.
CREATE TABLE staged_object (
    key text PRIMARY KEY,
    put_us bigint NOT NULL,
    data bytea NOT NULL
);

-- They stay for seconds: nothing is gained by making them smaller.
ALTER TABLE staged_object ALTER COLUMN data SET STORAGE EXTERNAL;

-- What a flush stages, in the same statement and so in the same commit: p_woken is what the rest of it returned. NULL
-- says that this flush stands already, its objects with it.
CREATE FUNCTION rco_stage(p_woken bytea[], s_key text[], s_put_us bigint[], s_data bytea[]) RETURNS bytea[]
LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO staged_object (key, put_us, data)
        SELECT s.key, s.put_us, s.data FROM unnest(s_key, s_put_us, s_data) AS s(key, put_us, data) ORDER BY s.key
        ON CONFLICT (key) DO UPDATE SET put_us = excluded.put_us, data = excluded.data;
    RETURN p_woken;
END
$rco$;

-- migrate:down

-- What stands here was acknowledged and is nowhere else: the version before must not begin without it.
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM staged_object) THEN
        RAISE EXCEPTION 'content waits to be moved'
            USING HINT = 'Start this version once more, and stop it when rco_objects_staged is 0.';
    END IF;
END
$do$;
DROP FUNCTION rco_stage;
DROP TABLE staged_object;
