-- migrate:up

-- Every revocation there ever was, in the order in which nodes read it. The number comes out of the one row of
-- revocation_head, whose lock is held until the commit: a number that is seen has no smaller one still on its way.
CREATE TABLE revocation_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO revocation_head (seq) VALUES (0);

-- kind: id, kid or epoch; name: the capability's id, the key's, the namespace. Each id and each kid once.
CREATE TABLE revocation (
    seq bigint PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    epoch bigint NOT NULL,
    at_us bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    UNIQUE (kind, name, epoch)
);

-- migrate:down

DROP TABLE revocation;
DROP TABLE revocation_head;
