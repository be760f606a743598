"""Weeks of the journal are made ahead and dropped whole, unless something in them is open."""

from __future__ import annotations

from typing import Any

from rco.kit.clock import MICROS, parse_iso
from rco.kit.ids import Ids
from rco.model.run import Mode, Outcome, RunRow
from rco.store.contract.changes import Draft, Ended
from rco.store.postgres import PostgresOptions
from rco.store.postgres.connection import Line
from rco.store.postgres.partitions import drop_partitions, keep_ahead

DAY_US = 86_400 * MICROS
MONDAY = parse_iso("2026-11-16T00:00:00Z")


class At:
    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / 1e6


async def _open(node: Any, at_us: int) -> bytes:
    run_id = Ids(At(at_us)).uuid7()
    row = RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=at_us)
    draft = Draft(run_id, 0)
    draft.parts.append(b"start")

    def fill(changes: Any) -> None:
        changes.opened.append(row)
        changes.drafts.append(draft)

    await node.commit(fill)
    return run_id


async def test_this_week_and_the_next_are_there(postgres_dsn: str) -> None:
    line = Line(postgres_dsn, PostgresOptions())
    assert await keep_ahead(line, MONDAY) == ["journal_2026_11_16", "journal_2026_11_23"]
    assert await keep_ahead(line, MONDAY + 7 * DAY_US - 1) == []
    assert await keep_ahead(line, MONDAY + 7 * DAY_US) == ["journal_2026_11_30"]
    await line.close()


async def test_a_week_with_an_open_run_is_kept(make_node: Any, postgres_dsn: str) -> None:
    node = make_node("a")
    await node.keeper.start()
    line = Line(postgres_dsn, PostgresOptions())
    await keep_ahead(line, MONDAY)
    await keep_ahead(line, MONDAY + 7 * DAY_US)
    edge, open_run, later = [await _open(node, at) for at in (MONDAY, MONDAY + 7 * DAY_US - 1000, MONDAY + 7 * DAY_US)]
    await node.commit(lambda c: c.ended.append(Ended(edge, Outcome.COMPLETED, 1)))
    before = MONDAY + 10 * DAY_US
    assert await drop_partitions(line, before) == ([], ["journal_2026_11_16"])
    assert len(await node.reader.journal(edge)) == 1
    await node.commit(lambda c: c.ended.append(Ended(open_run, Outcome.COMPLETED, 1)))
    # A week goes only when all of it is before the time.
    assert await drop_partitions(line, MONDAY + 7 * DAY_US - 1) == ([], [])
    assert await drop_partitions(line, before) == (["journal_2026_11_16"], [])
    assert await node.reader.journal(edge) == []
    assert len(await node.reader.journal(later)) == 1
    # The chain goes on without what was dropped: exports leave it out.
    (chain,) = await node.reader.chains()
    assert [s.run_id for s in await node.reader.segments(1, 99, chain)] == [later]
    await line.close()
