-- migrate:up

-- namespaces: those that the principal may enter beside its own, with a space between; * for all. expires_us: from then
-- on the token is worth nothing.
ALTER TABLE principal ADD COLUMN namespaces text NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN expires_us bigint;
ALTER TABLE principal ADD COLUMN created_us bigint NOT NULL DEFAULT 0;
ALTER TABLE principal ADD COLUMN origin text NOT NULL DEFAULT '';

-- Administrators could do everything before there were bounds.
UPDATE principal SET namespaces = '*' WHERE role = 'admin';

-- migrate:down

ALTER TABLE principal DROP COLUMN origin;
ALTER TABLE principal DROP COLUMN created_us;
ALTER TABLE principal DROP COLUMN expires_us;
ALTER TABLE principal DROP COLUMN namespaces;
