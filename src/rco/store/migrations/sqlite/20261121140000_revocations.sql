-- migrate:up

-- Every revocation there ever was, in the order in which nodes read it. kind: id, kid or epoch; name: the capability's
-- id, the key's, the namespace. Each id and each kid once.
CREATE TABLE revocation (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (kind, name, epoch)
) STRICT;

-- migrate:down

DROP TABLE revocation;
