-- migrate:up

-- Where webhooks are sent. One document each, changed by compare and swap on its version; seq: the number of the last
-- change, in the order in which nodes read it. A deleted one stays as a row without address and secrets.
CREATE TABLE endpoint (
    id text NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    seq bigint NOT NULL,
    body bytea NOT NULL
);
CREATE UNIQUE INDEX endpoint_seq ON endpoint (seq);

-- The number comes out of this one row, whose lock is held until the commit.
CREATE TABLE endpoint_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO endpoint_head (seq) VALUES (0);

-- migrate:down

DROP TABLE endpoint;
DROP TABLE endpoint_head;
