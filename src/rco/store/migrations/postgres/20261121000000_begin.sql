-- migrate:up

-- Hot tables carry no index but their key, and no index on a column that changes. Each index below says which question
-- needs it. Every statement of a flush names its shards, so that the tables can be spread by shard one day.

CREATE TABLE namespace (
    name text PRIMARY KEY,
    created_us bigint NOT NULL
);

INSERT INTO namespace (name, created_us) VALUES ('default', 0);

-- The only heartbeat: one row a node, renewed every few seconds. A node whose row ran out is dead. Every start under a
-- name raises its epoch and puts its own boot_id in: who had the name before can write nothing more.
CREATE TABLE node (
    name text PRIMARY KEY,
    boot_id bytea NOT NULL,
    epoch bigint NOT NULL,
    pid integer NOT NULL,
    address text NOT NULL DEFAULT '',
    started_us bigint NOT NULL,
    alive_until timestamptz NOT NULL,
    draining boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Who owns which shard. A take-over raises the epoch. An epoch that is only compared lets stale appends through, so
-- flushes and take-overs also exclude each other by a lock in memory (rco_flush, rco_take).
CREATE TABLE lease (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 255),
    pool text NOT NULL DEFAULT 'default',
    owner text,
    epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO lease (shard) SELECT generate_series(0, 255);

-- Open runs only: closing moves the row to closed_run, so that nothing here grows with history.
CREATE TABLE run (
    shard smallint NOT NULL,
    run_id bytea NOT NULL,
    namespace text NOT NULL,
    workflow text NOT NULL,
    version text NOT NULL,
    mode smallint NOT NULL,
    key text,
    parent bytea,
    corr_id text NOT NULL,
    opened_us bigint NOT NULL,
    detail bytea,
    PRIMARY KEY (run_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);

CREATE TABLE closed_run (
    run_id bytea PRIMARY KEY,
    namespace text NOT NULL,
    workflow text NOT NULL,
    version text NOT NULL,
    key text,
    parent bytea,
    corr_id text NOT NULL,
    opened_us bigint NOT NULL,
    closed_us bigint NOT NULL,
    outcome text NOT NULL,
    detail bytea
);

-- Runs of one workflow: a rare one among millions would be a scan of everything.
CREATE INDEX closed_run_by_workflow ON closed_run (namespace, workflow, run_id);
-- Runs that went wrong are few among many.
CREATE INDEX closed_run_by_outcome ON closed_run (namespace, outcome, run_id) WHERE outcome <> 'completed';
-- One correlation id stands for a handful of runs.
CREATE INDEX closed_run_by_corr_id ON closed_run (corr_id, run_id) WHERE corr_id <> '';

-- One row for each segment of a run that was flushed together. Run ids begin with their time, so partitions by run id
-- are partitions by time, and retention drops them whole.
CREATE TABLE journal (
    run_id bytea NOT NULL,
    first_seq integer NOT NULL,
    chain text NOT NULL,
    n bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run_id, first_seq)
) PARTITION BY RANGE (run_id);

-- What no week was made for.
CREATE TABLE journal_rest PARTITION OF journal DEFAULT;

CREATE TABLE start_key (
    namespace text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    run_id bytea NOT NULL,
    PRIMARY KEY (namespace, key)
);

CREATE TABLE claim (
    digest bytea PRIMARY KEY,
    corr_id text NOT NULL,
    expires_us bigint NOT NULL
);

-- The inbox. Anybody may insert; only the owner of the run takes, in the transaction that records the taking. The body
-- of an event is that of the event row, put together by who reads it.
CREATE TABLE message (
    run_id bytea NOT NULL,
    message_id text NOT NULL,
    shard smallint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    at_us bigint NOT NULL,
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    body bytea,
    event bigint,
    PRIMARY KEY (run_id, message_id)
);

-- What came since the last look, for the owners on other nodes.
CREATE INDEX message_by_arrival ON message (arrival);

-- Signals that were acknowledged and that their run never took: kept when it closes, for those who sent them.
CREATE TABLE unread (
    run_id bytea NOT NULL,
    message_id text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    at_us bigint NOT NULL,
    arrival bigint NOT NULL,
    body bytea,
    PRIMARY KEY (run_id, message_id)
);

-- Only parked runs have a row here.
CREATE TABLE timer (
    run_id bytea PRIMARY KEY,
    shard smallint NOT NULL,
    due_us bigint NOT NULL
);

-- Which parked runs are due, soonest first.
CREATE INDEX timer_by_due ON timer (due_us, run_id);

-- subject_match is '*' for any subject, else '=' and the subject.
CREATE TABLE waiter (
    run_id bytea NOT NULL,
    key text NOT NULL,
    namespace text NOT NULL,
    type text NOT NULL,
    subject_match text NOT NULL,
    since_us bigint NOT NULL,
    PRIMARY KEY (run_id, key)
);

-- Who waits for this event.
CREATE INDEX waiter_by_event ON waiter (namespace, type, subject_match);

CREATE TABLE event (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text NOT NULL,
    id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    time_us bigint NOT NULL,
    received_us bigint NOT NULL,
    corr_id text NOT NULL,
    origin text NOT NULL,
    trace text NOT NULL,
    data bytea NOT NULL
);

-- One event by its id.
CREATE INDEX event_by_id ON event (namespace, id);
-- Pages of events, newest first, of all types and of one.
CREATE INDEX event_by_received ON event (namespace, received_us);
CREATE INDEX event_by_type ON event (namespace, type, received_us);
-- A new waiter looks back for events that came before it.
CREATE INDEX event_by_subject ON event (namespace, type, subject, received_us) WHERE subject IS NOT NULL;

CREATE TABLE dead_letter (
    letter_id bytea PRIMARY KEY,
    namespace text NOT NULL,
    subscription text NOT NULL,
    cause text NOT NULL,
    at_us bigint NOT NULL,
    replayed_us bigint,
    event bytea NOT NULL
);

-- Letters that wait for somebody are few among those that were replayed.
CREATE INDEX dead_letter_waiting ON dead_letter (namespace, letter_id) WHERE replayed_us IS NULL;

-- The audit chains: one for each node's writers, one link a commit. places names the journal rows of the leaves: run id
-- (16 bytes) and first_seq (8 bytes, big-endian) of each, in order.
CREATE TABLE seal (
    chain text NOT NULL,
    n bigint NOT NULL,
    writer text NOT NULL,
    epoch bigint NOT NULL,
    at_us bigint NOT NULL,
    prev bytea NOT NULL,
    hash bytea NOT NULL,
    leaves bytea NOT NULL,
    places bytea NOT NULL,
    decisions bytea NOT NULL,
    PRIMARY KEY (chain, n)
);

-- Digests and identities do not compress; trying to costs more than writing them.
ALTER TABLE seal ALTER COLUMN leaves SET STORAGE EXTERNAL, ALTER COLUMN places SET STORAGE EXTERNAL;

CREATE TABLE principal (
    principal_id text PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    namespace text NOT NULL,
    token_digest bytea NOT NULL UNIQUE
);

-- migrate:down

DROP TABLE principal;
DROP TABLE seal;
DROP TABLE dead_letter;
DROP TABLE event;
DROP TABLE waiter;
DROP TABLE timer;
DROP TABLE unread;
DROP TABLE message;
DROP TABLE claim;
DROP TABLE start_key;
DROP TABLE journal;
DROP TABLE closed_run;
DROP TABLE run;
DROP TABLE lease;
DROP TABLE node;
DROP TABLE namespace;
