-- migrate:up

-- The keys that payloads of namespaces are encrypted with, each encrypted under a root key that is not in here. An erased
-- one has no bytes left. seq: the number of the last change, in the order in which nodes read it.
CREATE TABLE namespace_key (
    key_id bytea NOT NULL PRIMARY KEY,
    namespace text NOT NULL,
    version bigint NOT NULL,
    root_kid text NOT NULL,
    wrapped bytea NOT NULL,
    made_us bigint NOT NULL,
    from_us bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    erased_us bigint,
    erased_by text NOT NULL DEFAULT '',
    erased_why text NOT NULL DEFAULT '',
    seq bigint NOT NULL,
    UNIQUE (namespace, version)
);

-- The number comes out of this one row, whose lock is held until the commit.
CREATE TABLE namespace_key_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO namespace_key_head (seq) VALUES (0);

-- migrate:down

DROP TABLE namespace_key;
DROP TABLE namespace_key_head;
