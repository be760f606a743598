-- migrate:up

-- Search attributes: what runs are found by, made from their journals. type: 1 text, 2 number, 3 truth, 4 time.
CREATE TABLE run_attribute (
    run_id BLOB NOT NULL CHECK (length(run_id) = 16),
    name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    type INTEGER NOT NULL,
    text TEXT,
    number REAL,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_attribute_text ON run_attribute (namespace, name, text, run_id) WHERE text IS NOT NULL;
CREATE INDEX run_attribute_number ON run_attribute (namespace, name, type, number, run_id) WHERE number IS NOT NULL;

-- A closed run keeps them until it is gone itself.
CREATE TRIGGER run_attribute_gone AFTER DELETE ON closed_run BEGIN
    DELETE FROM run_attribute WHERE run_id = OLD.run_id;
END;

-- migrate:down

DROP TRIGGER run_attribute_gone;
DROP TABLE run_attribute;
