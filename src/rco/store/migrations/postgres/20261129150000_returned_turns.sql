-- migrate:up

-- A turn that nobody could take goes back, in the same statement as the rest of the flush and so in the same commit:
-- p_woken is what the rest of it returned; NULL says that this flush stands already.
CREATE FUNCTION rco_return(p_woken bytea[], r_run bytea[], r_state smallint[]) RETURNS bytea[] LANGUAGE plpgsql AS $rco$
BEGIN
    IF p_woken IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE queue_item SET state = r.state, granted_us = NULL FROM unnest(r_run, r_state) AS r(run_id, state)
        WHERE queue_item.run_id = r.run_id AND queue_item.state = 1;
    RETURN p_woken;
END
$rco$;

ALTER FUNCTION rco_return SET enable_seqscan = off;
ALTER FUNCTION rco_return SET enable_hashjoin = off;
ALTER FUNCTION rco_return SET enable_mergejoin = off;
ALTER FUNCTION rco_return SET plan_cache_mode = force_generic_plan;

-- migrate:down

DROP FUNCTION rco_return;
