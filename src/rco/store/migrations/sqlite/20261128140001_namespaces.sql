-- migrate:up

-- quotas: JSON, {} for none. The rest is what was counted since there are quotas, in the commit that admitted it;
-- open_runs and stored_bytes are NULL when they must be counted anew, which the next admission does. open_runs is never
-- less than there are: closings do not touch the row, it is counted again when its bound is met. counted_us is when.
ALTER TABLE namespace ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
ALTER TABLE namespace ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';
ALTER TABLE namespace ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN origin TEXT NOT NULL DEFAULT 'api';
ALTER TABLE namespace ADD COLUMN open_runs INTEGER;
ALTER TABLE namespace ADD COLUMN stored_bytes INTEGER;
ALTER TABLE namespace ADD COLUMN counted_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN second INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN starts_second INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN starts_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespace ADD COLUMN events_day INTEGER NOT NULL DEFAULT 0;

-- migrate:down

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
