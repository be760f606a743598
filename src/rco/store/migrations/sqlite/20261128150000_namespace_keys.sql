-- migrate:up

-- The keys that payloads of namespaces are encrypted with, each encrypted under a root key that is not in here. An erased
-- one has no bytes left. seq: the number of the last change, in the order in which nodes read it.
CREATE TABLE namespace_key (
    key_id BLOB NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    version INTEGER NOT NULL,
    root_kid TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    made_us INTEGER NOT NULL,
    from_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    erased_us INTEGER,
    erased_by TEXT NOT NULL DEFAULT '',
    erased_why TEXT NOT NULL DEFAULT '',
    seq INTEGER NOT NULL,
    UNIQUE (namespace, version)
) STRICT;

-- migrate:down

DROP TABLE namespace_key;
