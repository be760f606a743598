-- migrate:up

-- The size of the payload behind a use: quotas of stored bytes count it. 0: written before they did.
ALTER TABLE payload_use ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0;

-- migrate:down

ALTER TABLE payload_use DROP COLUMN size_bytes;
