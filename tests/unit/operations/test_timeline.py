"""A journal as a person reads it."""

from __future__ import annotations

import pytest

from rco.model.journal import Kind, Record
from rco.operations.timeline import NOTE_CHARS_MAX, timeline

S = 1_000_000
RUN = bytes(range(16))


def start() -> Record:
    return Record(Kind.START, "", 0, b"", {"workflow": "pay", "actor": "principal:ann", "input": {"card": "4111"}})


def told(*records: Record) -> list[tuple[str, str, str, int, float | None]]:
    return [(one.kind, one.key, one.outcome, one.attempts, one.duration_ms) for one in timeline([start(), *records])][
        1:
    ]


def test_a_step_with_retries_is_one_entry() -> None:
    error = {"code": "call_failed", "kind": "HTTP503", "message": "busy", "data": {"body": "PRIVATE"}}
    records = [
        start(),
        Record(Kind.STEP_RETRY, "charge", 1 * S, b"", [1, 2 * S, error]),
        Record(Kind.STEP_RETRY, "charge", 3 * S, b"", [2, 4 * S, error]),
        Record(Kind.STEP_END, "charge", 5 * S, b"", [1, {"id": "PRIVATE"}, 3]),
    ]
    step = timeline(records)[1]
    assert (step.kind, step.key, step.outcome, step.attempts, step.duration_ms) == ("step", "charge", "done", 3, 5000.0)
    waiting = timeline(records[:3])[1]
    assert (waiting.outcome, waiting.attempts, waiting.duration_ms) == ("retrying", 2, None)
    assert waiting.note == "due 1970-01-01T00:00:04.000000Z; HTTP503: busy"


def test_durations_count_from_when_the_branch_last_moved() -> None:
    assert told(
        Record(Kind.STEP_END, "a", 1 * S, b"", [1, None, 1]),
        Record(Kind.STEP_END, "b", 3 * S, b"", [1, None, 1]),
        Record(Kind.STEP_END, "gather/0/x", 4 * S, b"", [1, None, 1]),
        Record(Kind.STEP_END, "gather/1/x", 7 * S, b"", [1, None, 1]),
        Record(Kind.STEP_END, "gather/0/y", 9 * S, b"", [1, None, 1]),
    ) == [
        ("step", "a", "done", 1, 1000.0),
        ("step", "b", "done", 1, 2000.0),
        ("step", "gather/0/x", "done", 1, 1000.0),
        ("step", "gather/1/x", "done", 1, 4000.0),
        ("step", "gather/0/y", "done", 1, 5000.0),
    ]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([Record(Kind.TIMER_SET, "sleep", S, b"", 3 * S)], ("timer", "sleep", "waiting", 0, None)),
        (
            [Record(Kind.TIMER_SET, "sleep", S, b"", 3 * S), Record(Kind.TIMER_FIRED, "sleep", 3 * S)],
            ("timer", "sleep", "done", 0, 2000.0),
        ),
        (
            [
                Record(Kind.WAIT, "w", S, b"", {"signal": "go", "type": "", "subject": None, "due_us": None}),
                Record(Kind.MESSAGE, "w", 2 * S, b"", ["m", "go", "PRIVATE"]),
            ],
            ("wait", "w", "done", 0, 1000.0),
        ),
        (
            [
                Record(Kind.WAIT, "w", S, b"", {"signal": None, "type": "t", "subject": "s", "due_us": 2 * S}),
                Record(Kind.TIMER_FIRED, "w", 2 * S),
            ],
            ("wait", "w", "timed_out", 0, 1000.0),
        ),
        (
            [
                Record(Kind.CHILD, "c", S, b"", [RUN, "ship"]),
                Record(Kind.MESSAGE, "c", 2 * S, b"", [RUN, "c", ["failed", {}]]),
            ],
            ("child", "c", "failed", 0, 1000.0),
        ),
        ([Record(Kind.STEP_INTENT, "s", S, b"", 1)], ("step", "s", "running", 1, None)),
        (
            [Record(Kind.STEP_INTENT, "s", S, b"", 1), Record(Kind.IN_DOUBT, "s", 2 * S, b"", "stopped")],
            ("step", "s", "in_doubt", 1, None),
        ),
        ([Record(Kind.CLOSE, "", S, b"", ["failed", {"kind": "X", "message": "y"}])], ("close", "", "failed", 0, None)),
        ([Record(Kind.CANCEL, "", S, b"", {"reason": "r", "actor": "a"})], ("cancel", "", "done", 0, None)),
    ],
)
def test_each_kind(records: list[Record], expected: tuple[object, ...]) -> None:
    assert told(*records) == [expected]


def test_a_doubt_that_was_settled_shows_who_settled_it() -> None:
    entries = timeline(
        [
            start(),
            Record(Kind.IN_DOUBT, "s", S, b"", "stopped"),
            Record(Kind.SETTLED, "s", 2 * S, b"", {"verdict": "done", "reason": "saw it", "actor": "principal:bob"}),
            Record(Kind.STEP_END, "s", 2 * S, b"", [1, {}, 1]),
        ]
    )
    assert [(one.kind, one.outcome) for one in entries] == [("start", "done"), ("step", "done"), ("settle", "done")]
    assert entries[2].note == "principal:bob: saw it"


def test_no_value_is_shown_and_notes_are_bounded() -> None:
    entries = timeline(
        [
            start(),
            Record(Kind.STEP_END, "s", S, b"", [0, {"kind": "K", "message": "m" * 5000, "data": "PRIVATE"}, 1]),
            Record(Kind.STATE, "st", S, b"", ["progress", "PRIVATE"]),
            Record(Kind.EMIT, "e", S, b"", ["id", "type", "subject"]),
            Record(Kind.CLOSE, "", S, b"", ["completed", {"card": "PRIVATE"}]),
        ]
    )
    text = repr(entries)
    assert "PRIVATE" not in text
    assert "4111" not in text
    assert max(len(one.note) for one in entries) == NOTE_CHARS_MAX


def test_a_record_of_a_kind_to_come_is_left_out() -> None:
    assert told(Record(99, "x", S)) == []
