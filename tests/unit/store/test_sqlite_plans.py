"""No question walks through history, and no commit through a table: SQLite is asked how it would answer each."""

from __future__ import annotations

import re
import sqlite3

import pytest

from rco.audit.chain import ChainSealer
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.attribute import attribute_filter
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.run import Mode, Outcome, RunRow
from rco.store import migrate
from rco.store.collector import Batch
from rco.store.contract.changes import Admission, Changes, Claim, Draft, Ended, Moved, StartKey, Waiter
from rco.store.contract.reader import RunFilter
from rco.store.contract.schedules import ScheduleRow, ScheduleWrite
from rco.store.sqlite import attributes, read_evidence, read_intake, read_runs, schedules
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.sweep import ClaimSweep

TABLES = (
    "run|closed_run|journal|start_key|claim|message|timer|waiter|event|dead_letter|seal|principal|schedule"
    "|run_attribute"
)
SCAN = re.compile(rf"SCAN ({TABLES})\b")


@pytest.fixture
def connection(tmp_path):
    migrate.up(tmp_path / "rco.sqlite")
    opened = sqlite3.connect(tmp_path / "rco.sqlite", isolation_level=None)
    yield opened
    opened.close()


def plans(connection: sqlite3.Connection, ask) -> list[str]:
    """How SQLite answers each statement that ``ask`` makes."""
    texts: list[str] = []
    connection.set_trace_callback(texts.append)
    ask()
    connection.set_trace_callback(None)
    found = []
    for text in texts:
        if text.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            found += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert found
    return found


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: read_runs.run(c, b"x" * 16),
        lambda c: read_runs.runs(c, RunFilter(workflow="w", mode=Mode.CLOSED, after=b"x"), 5),
        lambda c: read_runs.runs(c, RunFilter(outcome=Outcome.FAILED), 5),
        lambda c: read_runs.runs(c, RunFilter(corr_id="corr", mode=Mode.CLOSED), 5),
        lambda c: read_runs.runs(c, RunFilter(mode=Mode.CLOSED, after=b"x"), 5),
        lambda c: read_runs.runs(c, RunFilter(attributes=(attribute_filter("customer=c-7"),)), 5),
        lambda c: read_runs.runs(c, RunFilter(attributes=(attribute_filter("amount>=7"),), after=b"x"), 5),
        lambda c: attributes.of_runs(c, [b"x" * 16]),
        lambda c: read_runs.open_runs(c, Mode.HOT, b"x", 5, None),
        lambda c: read_runs.key_holder(c, "default", "k"),
        lambda c: read_runs.journal(c, b"x" * 16),
        lambda c: read_runs.messages(c, b"x" * 16),
        lambda c: read_runs.due(c, 5, 5, None),
        lambda c: read_intake.event(c, "default", "e", None),
        lambda c: read_intake.event(c, "default", "e", "shop"),
        lambda c: read_intake.events(c, "default", None, None, 5),
        lambda c: read_intake.events(c, "default", "paid", (7, 1), 5),
        lambda c: read_intake.letter(c, b"x" * 16),
        lambda c: read_intake.letters(c, "default", False, 5),
        lambda c: read_evidence.seals(c, 1, 5),
        lambda c: read_evidence.segments(c, 1, 5),
        lambda c: read_evidence.principal(c, b"x" * 32),
        lambda c: schedules.by_id(c, b"x" * 16),
        lambda c: schedules.by_name(c, "default", "s"),
        lambda c: schedules.page(c, "default", "s", 5, None),
        lambda c: schedules.due(c, (5, b"x"), 9, 5),
        lambda c: schedules.under_others(c, "2026f", b"x", 5),
    ],
)
def test_a_read_searches(connection, ask):
    # A link to look at, so that the segments are asked for.
    connection.execute("INSERT INTO seal VALUES (1, 'n', 1, 1, x'', x'', zeroblob(32), 1, x'')")
    found = plans(connection, lambda: ask(connection))
    assert not [plan for plan in found if SCAN.search(plan)], found


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: read_runs.runs(c, RunFilter(workflow="w"), 5),
        lambda c: read_runs.runs(c, RunFilter(outcome=Outcome.FAILED), 5),
        lambda c: read_runs.runs(c, RunFilter(corr_id="corr"), 5),
        lambda c: read_runs.runs(c, RunFilter(), 5),
        lambda c: read_intake.events(c, "default", "paid", (7, 1), 5),
        lambda c: read_intake.letters(c, "default", True, 5),
        lambda c: read_runs.due(c, 5, 5, None),
        lambda c: schedules.page(c, "default", "s", 5, "config"),
        lambda c: schedules.due(c, (5, b"x"), 9, 5),
        lambda c: schedules.under_others(c, "2026f", b"x", 5),
    ],
)
def test_a_page_needs_no_sorting(connection, ask):
    found = plans(connection, lambda: ask(connection))
    assert not [plan for plan in found if "TEMP B-TREE" in plan], found


def schedule_write(seq: int, at: int) -> ScheduleWrite:
    """Put in by the first commit; changed, or removed, by the second."""
    row = ScheduleRow(
        schedule_id=bytes([at]) * 16,
        namespace="default",
        name=f"s{at}",
        origin="api",
        revision=seq + 1,
        due_us=5,
        rules="r",
        body=b"b",
    )
    return ScheduleWrite(row=row, expect=seq or None, gone=bool(seq and at))


def test_a_commit_searches(connection):
    ids = Ids()
    clock = SystemClock()
    first, second, third = ids.uuid7(), ids.uuid7(), ids.uuid7()

    def row(run_id: bytes) -> RunRow:
        return RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1)

    def draft(run_id: bytes, seq: int) -> Draft:
        made = Draft(run_id, seq)
        made.parts.append(b"x")
        return made

    event = Event(id="e", source="s", type="t", data=b"{}", time_us=1, received_us=1, corr_id="c", subject="order-1")

    def full(seq: int) -> Batch:
        changes = Changes()
        if seq == 0:
            changes.opened += [row(first), row(second)]
        changes.drafts += [draft(first, seq), draft(second, seq)]
        changes.moved += [Moved(first, Mode.PARKED, 5), Moved(second, Mode.HOT)]
        changes.messages += [Message(first, f"m{seq}", "signal", "n", b"", 1)] * 2
        changes.taken += [(first, "a"), (first, "b"), (second, "c")]
        changes.waiters += [
            Waiter(first, f"w{seq}", "default", "t", "order-1", 0),
            Waiter(second, "w", "d", "t", "s", 0),
        ]
        changes.waiters_gone += [(first, "x"), (second, "y"), (second, "z")]
        changes.events += [event, event]
        changes.start_keys.append(StartKey("default", f"child{seq}", b"r", first))
        changes.letters.append(DeadLetter(letter_id=ids.uuid7(), event=event, subscription="s", cause="c", at_us=1))
        changes.letters_replayed += [(b"x" * 16, 1), (b"y" * 16, 1)]
        for at in range(2):
            run_id = ids.uuid7()
            changes.admissions.append(
                Admission(
                    done=print,
                    failed=print,
                    claim=Claim(bytes([seq, at]) * 16, "c", 1 << 60),
                    start_keys=[StartKey("default", f"k{seq}.{at}", b"r", run_id)],
                    event=event,
                    opened=[(row(run_id), b"start")],
                    messages=[Message(first, f"a{seq}.{at}", "signal", "n", b"", 1)],
                    schedules=[schedule_write(seq, at)],
                )
            )
        if seq:
            changes.ended += [Ended(first, Outcome.COMPLETED, 1), Ended(third, Outcome.COMPLETED, 1)]
        return Batch(changes, [], [])

    committer = Committer(connection, sealer=ChainSealer(), clock=clock, writer="n", epoch=0)
    committer.commit(full(0))
    found = plans(connection, lambda: committer.commit(full(1)))
    assert len(found) > 40
    assert not [plan for plan in found if SCAN.search(plan)], found


def test_a_sweep_looks_at_a_slice(connection):
    many = [(number.to_bytes(32, "big"), "c", 1) for number in range(5000)]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO claim VALUES (?, ?, ?)", many)
    sweep = ClaimSweep()
    found = plans(connection, lambda: sweep.accepted(connection.cursor(), 512, 2))
    assert not [plan for plan in found if SCAN.search(plan)], found
    assert connection.execute("SELECT count(*) FROM claim").fetchone() == (5000 - 2048,)
    for _ in range(2):
        sweep.accepted(connection.cursor(), 512, 2)
    assert connection.execute("SELECT count(*) FROM claim").fetchone() == (0,)
