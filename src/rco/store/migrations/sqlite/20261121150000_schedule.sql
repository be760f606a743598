-- migrate:up

-- revision makes every change conditional on what it was made from. rules names the rules of time zones and calendars
-- under which due_us was worked out.
CREATE TABLE schedule (
    schedule_id BLOB NOT NULL PRIMARY KEY CHECK (length(schedule_id) = 16),
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    revision INTEGER NOT NULL,
    due_us INTEGER,
    rules TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One schedule by its name, pages by name, and the refusal to use a name twice.
CREATE UNIQUE INDEX schedule_by_name ON schedule (namespace, name);
-- Which schedules are due, soonest first: asked once a window, not once a schedule.
CREATE INDEX schedule_by_due ON schedule (due_us, schedule_id) WHERE due_us IS NOT NULL;

-- migrate:down

DROP TABLE schedule;
