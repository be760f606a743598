"""Versions: what a run is pinned to, what a node can run, and what is left out for who cannot."""

from __future__ import annotations

from rco.model.run import Mode, Outcome
from rco.store.contract.changes import Ended, Moved
from rco.store.contract.reader import RunFilter
from rco.store.contract.versions import OpenRuns

POOL = {"@v1": None}


async def _opened(keeper, desk, **more) -> bytes:
    row = desk.row(**more)
    await desk.commit(keeper.writer, lambda changes: changes.opened.append(row))
    return row.run_id


async def test_a_run_goes_on_with_another_version(keeper, desk):
    run_id = await _opened(keeper, desk, version="@v1")
    other = await _opened(keeper, desk, version="@v1")
    await desk.commit(keeper.writer, lambda changes: changes.versions.append((run_id, "@v2")))
    row = await keeper.reader.run(run_id)
    assert (row.version, row.mode) == ("@v2", Mode.HOT)
    assert (await keeper.reader.run(other)).version == "@v1"


async def test_the_last_of_several_versions_counts(keeper, desk):
    run_id = await _opened(keeper, desk, version="@v1")
    await desk.commit(keeper.writer, lambda changes: changes.versions.extend([(run_id, "@v2"), (run_id, "@v3")]))
    assert (await keeper.reader.run(run_id)).version == "@v3"


async def test_moving_leaves_mode_and_timer_as_they_are(keeper, desk):
    run_id = await _opened(keeper, desk, version="@v1")
    await desk.commit(keeper.writer, lambda changes: changes.moved.append(Moved(run_id, Mode.PARKED, 500, b'{"a": 1}')))
    await desk.commit(keeper.writer, lambda changes: changes.versions.append((run_id, "@v2")))
    row = await keeper.reader.run(run_id)
    assert (row.version, row.mode, row.detail) == ("@v2", Mode.PARKED, b'{"a": 1}')
    assert await keeper.reader.due(1000, 10) == [(500, run_id)]


async def test_runs_of_versions_outside_of_the_pool_are_left_out(keeper, desk):
    mine = await _opened(keeper, desk, version="@v1")
    free = await _opened(keeper, desk, version="b3beef")
    await _opened(keeper, desk, version="@v2")
    found = await keeper.reader.open_runs(Mode.HOT, None, 10, None, POOL)
    assert [row.run_id for row in found] == sorted((mine, free))
    assert len(await keeper.reader.open_runs(Mode.HOT, None, 10)) == 3
    assert [row.run_id for row in await keeper.reader.open_runs(Mode.HOT, None, 10, None, {})] == [free]


async def test_due_timers_of_other_versions_do_not_stand_in_the_way(keeper, desk):
    runs = [await _opened(keeper, desk, version=version) for version in ("@v2", "@v1", "code")]

    def park(changes):
        changes.moved += [Moved(run_id, Mode.PARKED, 100 + place) for place, run_id in enumerate(runs)]

    await desk.commit(keeper.writer, park)
    assert await keeper.reader.due(1000, 1, None, POOL) == [(101, runs[1])]
    assert await keeper.reader.due(1000, 9, None, POOL) == [(101, runs[1]), (102, runs[2])]
    assert len(await keeper.reader.due(1000, 9)) == 3


async def test_open_runs_of_a_version_are_listed_and_counted(keeper, desk):
    runs = [await _opened(keeper, desk, version="@v1") for _ in range(3)]
    await _opened(keeper, desk, version="@v2")
    ended = Ended(runs[0], Outcome.COMPLETED, 5)
    await desk.commit(keeper.writer, lambda changes: changes.ended.append(ended))
    where = RunFilter(version="@v1", open_only=True)
    found = [row.run_id for row in await keeper.reader.runs(where)]
    assert found == sorted(runs[1:], reverse=True)
    assert await keeper.reader.count_runs(where) == 2
    assert len(await keeper.reader.runs(RunFilter(version="@v1"))) == 3
    assert await keeper.reader.count_runs(RunFilter(version="@v3")) == 0


async def test_a_node_has_what_it_announced_last(keeper):
    reader = keeper.reader
    assert await reader.announce("node-1", {"v1": "aa", "v2": "bb"}, "v2", 5) == {}
    found = [(one.node, one.version, one.current) for one in await reader.version_nodes()]
    assert found == [("node-1", "v1", False), ("node-1", "v2", True)]
    assert await reader.announce("node-1", {"v2": "bb"}, "v2", 6) == {}
    assert [(one.version, one.current) for one in await reader.version_nodes()] == [("v2", True)]
    assert await reader.known_versions() == {"v1": "aa", "v2": "bb"}
    assert await reader.announce("node-1", {}, "", 7) == {}
    assert [(one.version, one.current) for one in await reader.version_nodes()] == [("", False)]


async def test_a_name_stands_for_its_code_while_runs_are_pinned_to_it(keeper, desk):
    reader = keeper.reader
    await reader.announce("node-1", {"v1": "aa"}, "v1", 5)
    # Nobody is pinned to it: a name may be used again.
    assert await reader.announce("node-1", {"v1": "ab"}, "v1", 6) == {}
    await _opened(keeper, desk, version="@v1")
    assert await reader.announce("node-1", {"v1": "cc", "v2": "dd"}, "v2", 7) == {"v1": "ab"}
    assert await reader.known_versions() == {"v1": "ab"}
    assert [one.version for one in await reader.version_nodes()] == ["v1"]
    assert await reader.announce("node-1", {"v1": "ab"}, "v1", 8) == {}


async def test_pinned_runs_are_counted_by_version(keeper, desk):
    for version, namespace in (("@v1", "default"), ("@v1", "other"), ("@v2", "default"), ("code", "default")):
        await _opened(keeper, desk, version=version, namespace=namespace)
    assert await keeper.reader.count_versions(None) == [OpenRuns("v1", 2), OpenRuns("v2", 1)]
    assert await keeper.reader.count_versions("default") == [OpenRuns("v1", 1), OpenRuns("v2", 1)]
