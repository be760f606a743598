-- migrate:up

-- Hot tables carry no index but their key: every index is a second tree that each commit writes to. Each index below
-- says which question needs it.

CREATE TABLE namespace (
    name TEXT NOT NULL PRIMARY KEY,
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO namespace (name, created_us) VALUES ('default', 0);

CREATE TABLE node (
    name TEXT NOT NULL PRIMARY KEY,
    boot_id BLOB NOT NULL,
    pid INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who owns which shard. A new owner raises the epoch; every commit checks that its epoch still stands.
CREATE TABLE lease (
    shard INTEGER NOT NULL PRIMARY KEY CHECK (shard BETWEEN 0 AND 255),
    pool TEXT NOT NULL DEFAULT 'default',
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    taken_us INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO lease (shard)
WITH RECURSIVE shards (shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM shards WHERE shard < 255)
SELECT shard FROM shards;

-- Open runs only. Closing moves the row to closed_run, so that nothing here grows with history; for that reason
-- questions by mode scan the table instead of keeping an index on a column that changes.
CREATE TABLE run (
    run_id BLOB NOT NULL PRIMARY KEY CHECK (length(run_id) = 16),
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    mode INTEGER NOT NULL,
    key TEXT,
    parent BLOB,
    corr_id TEXT NOT NULL,
    opened_us INTEGER NOT NULL,
    detail BLOB
) STRICT, WITHOUT ROWID;

-- Run ids grow with time: newest first is the key backwards.
CREATE TABLE closed_run (
    run_id BLOB NOT NULL PRIMARY KEY CHECK (length(run_id) = 16),
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    key TEXT,
    parent BLOB,
    corr_id TEXT NOT NULL,
    opened_us INTEGER NOT NULL,
    closed_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    detail BLOB
) STRICT, WITHOUT ROWID;

-- Runs of one workflow: a rare one among millions would be a scan of everything.
CREATE INDEX closed_run_by_workflow ON closed_run (namespace, workflow, run_id);
-- Runs that went wrong are few among many; the completed ones are found by walking backwards.
CREATE INDEX closed_run_by_outcome ON closed_run (namespace, outcome, run_id) WHERE outcome <> 'completed';
-- One correlation id stands for a handful of runs among millions.
CREATE INDEX closed_run_by_corr_id ON closed_run (corr_id, run_id) WHERE corr_id <> '';

-- One row for each segment of a run that was flushed together, in the order of writing: a commit fills a few pages at
-- the end of the tree instead of touching one page for every open run. n is the commit, place the number of the row;
-- seal.first_place leads from a commit to its rows, so no index on n is needed.
CREATE TABLE journal (
    place INTEGER NOT NULL PRIMARY KEY,
    run_id BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

-- The segments of one run, and the refusal to write one twice.
CREATE UNIQUE INDEX journal_by_run ON journal (run_id, first_seq);

CREATE TABLE start_key (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    run_id BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

-- Digests are random, so expired claims are swept in slices of the key; an index on the expiry would cost more.
CREATE TABLE claim (
    digest BLOB NOT NULL PRIMARY KEY,
    corr_id TEXT NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The inbox. arrival orders the messages of a run: the commit in the upper bits, the place in it in the lower 20.
CREATE TABLE message (
    run_id BLOB NOT NULL,
    message_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run_id, message_id)
) STRICT, WITHOUT ROWID;

-- Signals that were acknowledged and that their run never took: kept when it closes, for those who sent them.
CREATE TABLE unread (
    run_id BLOB NOT NULL,
    message_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run_id, message_id)
) STRICT, WITHOUT ROWID;

-- Only parked runs have a row here.
CREATE TABLE timer (
    run_id BLOB NOT NULL PRIMARY KEY,
    due_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which parked runs are due, soonest first.
CREATE INDEX timer_by_due ON timer (due_us, run_id);

-- subject_match is '*' for any subject, else '=' and the subject, so that one search of the index finds both.
CREATE TABLE waiter (
    run_id BLOB NOT NULL,
    key TEXT NOT NULL,
    namespace TEXT NOT NULL,
    type TEXT NOT NULL,
    subject_match TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    PRIMARY KEY (run_id, key)
) STRICT, WITHOUT ROWID;

-- Who waits for this event: asked for every event while anybody waits.
CREATE INDEX waiter_by_event ON waiter (namespace, type, subject_match, run_id, key);

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    time_us INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    corr_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    trace TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;

-- One event by its id.
CREATE INDEX event_by_id ON event (namespace, id);
-- Pages of events, newest first.
CREATE INDEX event_by_received ON event (namespace, received_us);
-- The same for one type, which may be rare.
CREATE INDEX event_by_type ON event (namespace, type, received_us);
-- A new waiter looks back for events that came before it.
CREATE INDEX event_by_subject ON event (namespace, type, subject, received_us) WHERE subject IS NOT NULL;

CREATE TABLE dead_letter (
    letter_id BLOB NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    subscription TEXT NOT NULL,
    cause TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    replayed_us INTEGER,
    event BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Letters that wait for somebody are few among those that were replayed.
CREATE INDEX dead_letter_waiting ON dead_letter (namespace, letter_id) WHERE replayed_us IS NULL;

-- The audit chain: one link a commit. The journal rows of a link are those from first_place on, one for each leaf.
CREATE TABLE seal (
    n INTEGER NOT NULL PRIMARY KEY,
    writer TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    leaves BLOB NOT NULL,
    first_place INTEGER NOT NULL,
    decisions BLOB NOT NULL
) STRICT;

CREATE TABLE principal (
    principal_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    namespace TEXT NOT NULL,
    token_digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Asked on every request to the control API; unique, because a token is one principal's.
CREATE UNIQUE INDEX principal_by_token ON principal (token_digest);

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
