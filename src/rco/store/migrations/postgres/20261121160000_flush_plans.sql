-- migrate:up

-- For short arrays the server took a plan made for their lengths to be cheaper than the one it had, and planned every
-- statement of every flush again: a quarter of the server's time in small flushes.
ALTER FUNCTION rco_flush SET plan_cache_mode = force_generic_plan;

-- migrate:down

ALTER FUNCTION rco_flush RESET plan_cache_mode;
