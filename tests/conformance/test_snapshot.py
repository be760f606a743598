"""What a snapshot shows is one moment, all of it, from every store that can be opened by where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from rco.kit.clock import SystemClock
from rco.model.letter import DeadLetter
from rco.model.run import Mode, Outcome
from rco.model.staged import StagedObject
from rco.operations.check_chain import check_chain, check_chains
from rco.operations.export_runs import Counts, export_runs
from rco.store.contract.changes import Ended, Moved
from rco.store.contract.snapshot import Snapshot
from rco.store.opening import open_snapshot

T = TypeVar("T")


@pytest.fixture
def where(home: Any) -> str:
    if not home.where:
        pytest.skip("it lives in the memory of one process")
    return str(home.where)


async def look(where: str, ask: Callable[[Snapshot], T]) -> T:
    """Ask on a thread, as who blocks has to."""

    def work() -> T:
        with open_snapshot(where) as snapshot:
            return ask(snapshot)

    return await asyncio.to_thread(work)


async def fill(keeper: Any, desk: Any, runs: int = 7) -> list[bytes]:
    ids = [await desk.open(keeper.writer) for _ in range(runs)]
    for place, run_id in enumerate(ids):
        for seq in range(1, place + 1):
            await desk.commit(keeper.writer, lambda c, r=run_id, s=seq: c.drafts.append(desk.draft(r, s, b"%d" % s)))
    return ids


async def test_every_run_comes_once_with_all_that_belongs_to_it(keeper, desk, where):
    ids = await fill(keeper, desk)
    parked, closed = ids[2], ids[3]
    messages = [desk.message(ids[0], "b"), desk.message(ids[0], "a"), desk.message(closed, "unread")]

    def more(changes: Any) -> None:
        changes.messages += messages
        changes.moved.append(Moved(parked, Mode.PARKED, due_us=77))

    await desk.commit(keeper.writer, more)
    await desk.commit(keeper.writer, lambda c: c.ended.append(Ended(closed, Outcome.FAILED, 99, b"{}")))
    found = await look(where, lambda snapshot: list(snapshot.histories()))
    assert [one.row.run_id for one in found] == sorted(ids)
    by_id = {one.row.run_id: one for one in found}
    for place, run_id in enumerate(ids):
        assert [(s.first_seq, s.data) for s in by_id[run_id].segments] == [
            (0, b"start"),
            *((seq, b"%d" % seq) for seq in range(1, place + 1)),
        ]
        assert by_id[run_id].segments == await keeper.reader.journal(run_id)
        assert by_id[run_id].row == await keeper.reader.run(run_id)
    assert by_id[ids[0]].messages == messages[:2]
    assert by_id[closed].messages == messages[2:]
    assert {run_id: one.due_us for run_id, one in by_id.items() if one.due_us is not None} == {parked: 77}


async def test_more_runs_and_rows_than_fit_on_a_page(keeper, desk, where, monkeypatch):
    for name in ("rco.store.postgres.snapshot._ROWS", "rco.store.postgres.snapshot._RUNS"):
        monkeypatch.setattr(name, 2)
    monkeypatch.setattr("rco.store.postgres.snapshot._BATCH", 3)
    monkeypatch.setattr("rco.store.sqlite.snapshot.PAGE", 2)
    ids = await fill(keeper, desk, 9)
    for run_id in ids[::2]:
        await desk.commit(keeper.writer, lambda c, r=run_id: c.ended.append(Ended(r, Outcome.COMPLETED, 1)))
    found = await look(where, lambda snapshot: list(snapshot.histories()))
    assert [one.row.run_id for one in found] == sorted(ids)
    assert [len(one.segments) for one in sorted(found, key=lambda one: ids.index(one.row.run_id))] == list(range(1, 10))


async def test_what_is_written_meanwhile_is_not_in_it(keeper, desk, where):
    first = await desk.open(keeper.writer)
    loop = asyncio.get_running_loop()

    def between(snapshot: Snapshot) -> tuple[Any, ...]:
        runs = snapshot.histories()
        before = snapshot.head(snapshot.chains()[0])
        asyncio.run_coroutine_threadsafe(desk.open(keeper.writer), loop).result()
        seen = [one.row.run_id for one in runs]
        return before, snapshot.head(snapshot.chains()[0]), seen, snapshot.unsettled()

    before, after, seen, _ = await look(where, between)
    assert before == after
    assert seen == [first]


async def test_its_chains_hold_and_are_those_of_the_reader(keeper, desk, where):
    await fill(keeper, desk, 4)
    chains, checked = await look(where, lambda snapshot: (snapshot.chains(), check_chains(snapshot, 1000)))
    assert chains == await keeper.reader.chains()
    assert [one.problems for one in checked] == [()] * len(chains)
    assert sum(one.segments for one in checked) == 1 + 2 + 3 + 4
    newest = await look(where, lambda snapshot: check_chain(snapshot, first_n=5, chain=chains[0]))
    assert (newest.first, newest.problems) == (5, ())


async def test_leases_and_nodes_are_there(keeper, desk, where):
    await desk.open(keeper.writer)
    leases, nodes, schema = await look(where, lambda s: (s.leases(), s.nodes(), s.schema()))
    assert [(one.first, one.last, one.owner) for one in leases] == [(0, 255, "node-1")]
    assert [(one.name, one.epoch) for one in nodes] == [("node-1", keeper.epoch)]
    assert schema.isdecimal()


async def test_what_is_not_well_is_told(keeper, desk, where):
    ids = await fill(keeper, desk, 5)
    letter = DeadLetter(letter_id=desk.id(), event=desk.event(), subscription="s", cause="c", at_us=1)

    def trouble(changes: Any) -> None:
        changes.letters.append(letter)
        changes.moved += [
            Moved(ids[0], Mode.IN_DOUBT, detail=b'{"step":"pay"}'),
            Moved(ids[1], Mode.BLOCKED),
            Moved(ids[2], Mode.PARKED, due_us=10),
        ]

    before_us = desk.clock.now_us() + 1
    desk.clock.at_us += 5_000_000
    await desk.commit(keeper.writer, trouble)
    await desk.commit(keeper.writer, lambda c: c.drafts.append(desk.draft(ids[4], 5, b"late")))

    def ask(snapshot: Snapshot) -> tuple[Any, ...]:
        stuck = snapshot.stuck_runs(before_us)
        doubt, blocked = snapshot.idle_runs(Mode.IN_DOUBT, 9), snapshot.idle_runs(Mode.BLOCKED, 9)
        return stuck, snapshot.unsettled(), doubt, blocked, snapshot.overdue(11), snapshot.overdue(10)

    stuck, unsettled, doubt, blocked, overdue, not_yet = await look(where, ask)
    assert [(one.run_id, one.since_us) for one in stuck] == [(ids[3], before_us - 1)]
    assert unsettled == (1, 1)
    assert [(one.run_id, one.detail) for one in doubt] == [(ids[0], b'{"step":"pay"}')]
    assert [one.run_id for one in blocked] == [ids[1]]
    assert (overdue, not_yet) == ((1, 10), (0, 0))
    assert await look(where, lambda snapshot: snapshot.waiting_letters()) == 1
    assert await look(where, lambda snapshot: snapshot.staged(99)) == (0, 0)
    objects = [StagedObject(f"content/aa/{at}", at, b"") for at in (7, 5, 99)]
    await desk.commit(keeper.writer, lambda c: (c.decisions.append(desk.decision()), c.staged.extend(objects)))
    assert await look(where, lambda snapshot: snapshot.staged(99)) == (2, 5)


async def test_an_export_of_it_counts_what_it_holds(keeper, desk, where):
    await fill(keeper, desk, 0)
    counts = Counts()

    def ask(snapshot: Snapshot) -> list[bytes]:
        return list(export_runs(snapshot, at_us=SystemClock().now_us(), version="1", counts=counts))

    lines = await look(where, ask)
    assert b'"format":"rco-export/1"' in lines[0]
    assert lines[-1].startswith(b'{"line":"end","runs":0')
    assert counts == Counts()
