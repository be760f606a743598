"""Weeks of the journal are made ahead and dropped whole, unless something in them is open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.integration.postgres.conftest import draft

from rco.audit.chain import ChainSealer
from rco.kit.clock import MICROS, parse_iso
from rco.kit.ids import Ids, id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.run import Mode, Outcome, RunRow
from rco.operations.check_chain import check_chains
from rco.operations.export_runs import export_runs
from rco.store.contract.changes import Draft, Ended, StartKey
from rco.store.opening import open_snapshot
from rco.store.postgres import PostgresOptions
from rco.store.postgres.connection import Line
from rco.store.postgres.partitions import keep_ahead
from rco.store.postgres.trim import trim
from rco.verify import Options, Result, check
from rco.verify.lines import Asked
from rco.verify.sources import read_export

DAY_US = 86_400 * MICROS
# Long ago: a keeper makes the week that it is and the next whenever it likes.
MONDAY = parse_iso("2021-11-15T00:00:00Z")


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
    assert await keep_ahead(line, MONDAY) == ["journal_2021_11_15", "journal_2021_11_22"]
    assert await keep_ahead(line, MONDAY + 7 * DAY_US - 1) == []
    assert await keep_ahead(line, MONDAY + 7 * DAY_US) == ["journal_2021_11_29"]
    await line.close()


async def _trim(dsn: str, before_us: int, *, dry_run: bool = False) -> dict[str, bool]:
    """Which weeks were looked at, and whether they went."""
    weeks = await trim(
        dsn,
        PostgresOptions(),
        ChainSealer(),
        before_us=before_us,
        actor="operator:ada",
        now_us=lambda: 5,
        dry_run=dry_run,
    )
    return {week.name: week.dropped for week in weeks}


async def test_a_week_with_an_open_run_is_kept(make_node: Any, postgres_dsn: str, tmp_path: Path) -> None:
    node = make_node("a")
    await node.keeper.start()
    line = Line(postgres_dsn, PostgresOptions())
    await keep_ahead(line, MONDAY)
    await keep_ahead(line, MONDAY + 7 * DAY_US)
    edge, open_run, later = [await _open(node, at) for at in (MONDAY, MONDAY + 7 * DAY_US - 1000, MONDAY + 7 * DAY_US)]
    key = StartKey("default", "k", b"r", edge)
    await node.commit(lambda c: (c.start_keys.append(key), c.ended.append(Ended(edge, Outcome.COMPLETED, 1))))
    before = MONDAY + 10 * DAY_US
    assert await _trim(postgres_dsn, before) == {"journal_2021_11_15": False}
    assert len(await node.reader.journal(edge)) == 1
    assert await node.reader.key_holder("default", "k") == edge
    await node.commit(lambda c: c.ended.append(Ended(open_run, Outcome.COMPLETED, 1)))
    # A week goes only when all of it is before the time.
    assert await _trim(postgres_dsn, MONDAY + 7 * DAY_US - 1) == {}
    assert await _trim(postgres_dsn, before, dry_run=True) == {"journal_2021_11_15": False}
    assert len(await node.reader.journal(edge)) == 1
    assert await _trim(postgres_dsn, before) == {"journal_2021_11_15": True}
    assert await _trim(postgres_dsn, before) == {}
    assert await node.reader.journal(edge) == []
    assert await node.reader.run(edge) is None
    assert await node.reader.key_holder("default", "k") is None
    assert len(await node.reader.journal(later)) == 1
    # The node goes on, and the chain without what was dropped: exports leave it out.
    await node.open(0)
    assert [s.run_id for s in await node.reader.segments(1, 3, "a/0")] == [later]
    await line.close()


async def _whole(node: Any, at_us: int, *, close: bool) -> bytes:
    """A run with a journal and decisions as the engine writes them."""
    run_id = Ids(At(at_us)).uuid7()
    run = id_text(run_id)
    row = RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=at_us)
    start = Record(Kind.START, "", at_us, b"", {"workflow": "w", "version": "1"})

    def begin(changes: Any) -> None:
        changes.opened.append(row)
        changes.drafts.append(draft(run_id, 0, encode_record(start)))
        changes.decisions.append(Decision(verb=Verb.START, at_us=at_us, run=run))

    def end(changes: Any) -> None:
        changes.drafts.append(draft(run_id, 1, encode_record(Record(Kind.CLOSE, "", at_us, b"", ["completed", 1]))))
        changes.ended.append(Ended(run_id, Outcome.COMPLETED, at_us))
        changes.decisions.append(Decision(verb=Verb.CLOSE, at_us=at_us, run=run))

    await node.commit(begin)
    if close:
        await node.commit(end)
    return run_id


async def _verdict(dsn: str, folder: Path, *run_ids: bytes) -> dict[str, tuple[Result, tuple[str, ...]]]:
    """What a stranger says to an export of it, when a client was told of these runs."""
    told = [
        Asked(kind="start", outcome="acknowledged", name=f"k{place}", run_id=id_text(run_id))
        for place, run_id in enumerate(run_ids)
    ]

    def look() -> dict[str, tuple[Result, tuple[str, ...]]]:
        with open_snapshot(dsn) as snapshot:
            lines = list(export_runs(snapshot, at_us=9, version="1", payloads=True))
        (folder / "export.jsonl").write_bytes(b"".join(lines))
        verdict = check(read_export(folder / "export.jsonl"), client=told, options=Options(rules="adh"))
        return {one.rule: (one.result, tuple(one.findings)) for one in verdict.rules}

    return await asyncio.to_thread(look)


async def test_what_is_dropped_is_missing_by_right_and_nothing_else(
    make_node: Any, postgres_dsn: str, postgres_server: Any, postgres_database: str, tmp_path: Path
) -> None:
    node = make_node("a")
    await node.keeper.start()
    line = Line(postgres_dsn, PostgresOptions())
    await keep_ahead(line, MONDAY)
    gone = [await _whole(node, MONDAY + at * 1000, close=True) for at in (1, 2)]
    later = await _whole(node, MONDAY + 8 * DAY_US, close=False)
    assert await _trim(postgres_dsn, MONDAY + 9 * DAY_US) == {"journal_2021_11_15": True}
    verdict = await _verdict(postgres_dsn, tmp_path, *gone, later)
    assert {rule: result for rule, (result, _) in verdict.items()} == dict.fromkeys("adh", Result.PASS), verdict

    def look() -> bool:
        with open_snapshot(postgres_dsn) as snapshot:
            return not any(one.problems for one in check_chains(snapshot, 1000))

    assert await asyncio.to_thread(look)
    # A run of a week that was not dropped is missed as ever, and so is its journal.
    lost = Ids(At(MONDAY + 8 * DAY_US)).uuid7()
    assert (await _verdict(postgres_dsn, tmp_path, later, lost))["a"][0] is Result.FAIL
    postgres_server.query(postgres_database, "DELETE FROM journal WHERE run_id = $1", later)
    assert (await _verdict(postgres_dsn, tmp_path, later))["h"][0] is Result.FAIL
    assert not await asyncio.to_thread(look)
    await line.close()


async def test_a_trim_that_was_broken_off_is_ended_by_the_next(
    make_node: Any, postgres_dsn: str, postgres_server: Any, postgres_database: str, tmp_path: Path
) -> None:
    node = make_node("a")
    await node.keeper.start()
    line = Line(postgres_dsn, PostgresOptions())
    await keep_ahead(line, MONDAY)
    gone = await _whole(node, MONDAY + 1000, close=True)
    columns = "run_id, namespace, workflow, version, key, parent, corr_id, opened_us, closed_us, outcome, detail"
    kept = postgres_server.query(postgres_database, f"SELECT {columns} FROM closed_run")
    await _trim(postgres_dsn, MONDAY + 9 * DAY_US)
    # As if the process had died between the journal and the rest.
    marks = ", ".join(f"${at}" for at in range(1, 12))
    postgres_server.query(postgres_database, f"INSERT INTO closed_run ({columns}) VALUES ({marks})", *kept[0])
    verdict = await _verdict(postgres_dsn, tmp_path, gone)
    assert verdict["a"][0] is verdict["h"][0] is Result.PASS, verdict
    assert await _trim(postgres_dsn, MONDAY + 9 * DAY_US) == {}
    assert await node.reader.run(gone) is None
    await line.close()
