"""Retention by class on PostgreSQL: a batch is one statement, and a week that is due goes whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.integration.postgres.test_pg_partitions import DAY_US, MONDAY, At

from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.run import Mode, Outcome, RunRow, fork_prefix
from rco.operations.check_chain import check_chains
from rco.store.contract.changes import Draft, Ended, StartKey
from rco.store.contract.retaining import Removed
from rco.store.opening import open_snapshot
from rco.store.postgres import PostgresOptions, dropping
from rco.store.postgres.connection import Connection, Line, connect
from rco.store.postgres.partitions import keep_ahead

BEFORE = MONDAY + 30 * DAY_US


def record(removed: Removed) -> Decision:
    facts: dict[str, str | int | bool] = {
        "from_us": removed.from_us,
        "until_us": removed.until_us,
        "runs": removed.runs,
        "segments": removed.segments,
        "chains": msgspec.json.encode(removed.chains).decode(),
    }
    return Decision(verb=Verb.TRIM, at_us=7, subject="runs", reason="retention", facts=facts)


def everything(_: RunRow) -> bool:
    return True


async def closed(node: Any, at_us: int, count: int, **more: Any) -> list[bytes]:
    """Runs that began at a time and have closed."""
    ids = Ids(At(at_us))
    found = [ids.uuid7() for _ in range(count)]

    def fill(changes: Any) -> None:
        for at, run_id in enumerate(found):
            key = f"k-{at_us}-{at}"
            changes.opened.append(
                RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=at_us, key=key, **more)
            )
            changes.start_keys.append(StartKey("default", key, b"r", run_id))
            draft = Draft(run_id, 0)
            draft.parts.append(b"start")
            changes.drafts.append(draft)

    await node.commit(fill)
    await node.commit(lambda c: c.ended.extend(Ended(one, Outcome.COMPLETED, at_us + 1) for one in found))
    return found


@pytest.fixture
async def node(make_node: Any, postgres_dsn: str) -> Any:
    made = make_node("a")
    await made.keeper.start()
    line = Line(postgres_dsn, PostgresOptions())
    for week in range(4):
        await keep_ahead(line, MONDAY + 7 * week * DAY_US)
    await line.close()
    return made


async def weeks(dsn: str) -> list[str]:
    connection = await connect(dsn, PostgresOptions())
    try:
        found = await dropping.weeks_before(connection, BEFORE)
    finally:
        await connection.close()
    return [name.removeprefix("journal_2021_") for name in found]


class Counting:
    """A connection that counts what it is asked."""

    def __init__(self, inner: Connection) -> None:
        self._inner, self.asked = inner, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("fetch", "execute", "fetchval", "fetchrow"):
            self.asked += 1
        return getattr(self._inner, name)


async def test_a_batch_is_one_statement_however_many_runs_are_in_it(node: Any, postgres_dsn: str) -> None:
    found = await closed(node, MONDAY, 150)
    connection = await connect(postgres_dsn, PostgresOptions())
    counting = Counting(connection)
    try:
        removed = await dropping.drop_runs(counting, found)  # type: ignore[arg-type]
    finally:
        await connection.close()
    assert counting.asked == 1
    assert (removed.runs, removed.segments) == (150, 150)
    assert sum(count for _, count, _ in removed.chains) == 150
    assert removed.from_us <= MONDAY < removed.until_us
    assert await node.reader.run(found[7]) is None
    assert await node.reader.journal(found[7]) == []
    assert await node.reader.key_holder("default", f"k-{MONDAY}-7") is None


async def test_a_batch_is_not_looked_through_one_by_one(node: Any, postgres_dsn: str) -> None:
    found = await closed(node, MONDAY, 60)
    fork = (await closed(node, MONDAY + DAY_US, 1))[0]
    await node.commit(lambda c: c.start_keys.append(StartKey("default", fork_prefix(found[3]) + "x", b"r", fork)))
    page, after = await node.keeper.retaining.closed_runs(BEFORE, b"", 100)
    assert after is None
    assert {row.run_id for row in page} == {*found, fork} - {found[3]}
    assert (await node.keeper.retaining.drop_runs([*found, fork], record)).runs == 60, "all but the one with a fork"
    # The fork went with them, and its key, so that its original may go now.
    assert (await node.keeper.retaining.drop_runs(found, record)).runs == 1


async def test_weeks_that_are_due_go_whole_and_the_others_stay(node: Any, postgres_dsn: str) -> None:
    first = await closed(node, MONDAY, 20)
    second = await closed(node, MONDAY + 7 * DAY_US, 20)
    third = await closed(node, MONDAY + 14 * DAY_US, 5)
    assert await weeks(postgres_dsn) == ["11_15", "11_22", "11_29", "12_06"]

    def all_but_one(row: RunRow) -> bool:
        return row.run_id != second[11]

    drop = node.keeper.retaining.drop_weeks
    removed = await drop(MONDAY + 14 * DAY_US, all_but_one, record)
    assert [(one.runs, one.segments) for one in removed] == [(20, 20)]
    assert (removed[0].from_us, removed[0].until_us) == (MONDAY, MONDAY + 7 * DAY_US)
    assert await weeks(postgres_dsn) == ["11_22", "11_29", "12_06"]
    for run_id in first:
        assert await node.reader.run(run_id) is None
    assert await node.reader.key_holder("default", f"k-{MONDAY}-3") is None
    # Where one is not due none goes, and what is not over is not looked at.
    assert [await node.reader.run(run_id) is None for run_id in (*second, *third)] == [False] * 25
    assert len(await node.reader.journal(second[0])) == 1
    removed = await drop(BEFORE, everything, record)
    assert [one.runs for one in removed] == [20, 5, 0], "one in which nothing happened goes as well"
    assert await weeks(postgres_dsn) == []
    await node.open(0)
    with open_snapshot(postgres_dsn) as snapshot:
        checked = check_chains(snapshot, 1000)
    assert {one.chain for one in checked} >= {"a/0", "operator/0"}
    assert [one.problems for one in checked if one.problems] == []


@pytest.mark.parametrize("what", ["open", "unread", "forked", "parent"])
async def test_a_week_in_which_something_must_stay_is_not_dropped(node: Any, postgres_dsn: str, what: str) -> None:
    found = await closed(node, MONDAY, 3)
    if what == "open":
        one = Ids(At(MONDAY + 5)).uuid7()
        row = RunRow(run_id=one, workflow="w", version="1", mode=Mode.HOT, opened_us=MONDAY)
        await node.commit(lambda c: c.opened.append(row))
    elif what == "unread":
        one = Ids(At(MONDAY + 5)).uuid7()
        row = RunRow(run_id=one, workflow="w", version="1", mode=Mode.HOT, opened_us=MONDAY)
        await node.commit(lambda c: c.opened.append(row))
        await node.admit(messages=[msgspec.structs.replace(node.message(one), kind="signal")])
        await node.commit(lambda c: c.ended.append(Ended(one, Outcome.COMPLETED, MONDAY + 6)))
    elif what == "forked":
        later = await closed(node, MONDAY + 20 * DAY_US, 1)
        key = StartKey("default", fork_prefix(found[1]) + "x", b"r", later[0])
        await node.commit(lambda c: c.start_keys.append(key))
    else:
        child = Ids(At(MONDAY + 20 * DAY_US)).uuid7()
        row = RunRow(run_id=child, workflow="w", version="1", mode=Mode.HOT, opened_us=MONDAY, parent=found[0])
        await node.commit(lambda c: c.opened.append(row))
    assert await node.keeper.retaining.drop_weeks(MONDAY + 7 * DAY_US, everything, record) == []
    assert "11_15" in await weeks(postgres_dsn)
    assert all([await node.reader.run(run_id) is not None for run_id in found])


async def test_a_week_that_is_read_is_left_for_another_time(node: Any, postgres_dsn: str) -> None:
    await closed(node, MONDAY, 3)
    connection = await connect(postgres_dsn, PostgresOptions())
    try:
        async with connection.transaction():
            await connection.fetch("SELECT * FROM journal_2021_11_15")
            assert await node.keeper.retaining.drop_weeks(MONDAY + 7 * DAY_US, everything, record) == []
    finally:
        await connection.close()
    assert [one.runs for one in await node.keeper.retaining.drop_weeks(MONDAY + 7 * DAY_US, everything, record)] == [3]
