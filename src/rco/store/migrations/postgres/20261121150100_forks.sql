-- migrate:up

-- The forks of a run are found by the beginning of their start keys, each time that the run is looked at. In the
-- database's own collation a beginning cannot be searched for; few keys are of forks, so the index is small.
CREATE INDEX start_key_of_forks ON start_key (namespace, key text_pattern_ops) WHERE key LIKE 'fork:%';

-- migrate:down

DROP INDEX start_key_of_forks;
