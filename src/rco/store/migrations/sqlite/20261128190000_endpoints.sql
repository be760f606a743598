-- migrate:up

-- Where webhooks are sent. One document each, changed by compare and swap on its version; seq: the number of the last
-- change, in the order in which nodes read it. A deleted one stays as a row without address and secrets.
CREATE TABLE endpoint (
    id TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT;

-- migrate:down

DROP TABLE endpoint;
