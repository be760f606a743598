"""Pools on PostgreSQL: whose shards are whose, the fence, the hand-over of single runs, versions that come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.integration.postgres.test_pg_versions import serve  # noqa: F401 - a fixture

from rco.engine.moving import MoveAsk
from rco.errors import Fenced
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind
from rco.model.run import Outcome
from rco.store.contract.changes import Changes
from rco.store.pools import NOWHERE, byte_of
from rco.store.postgres.snapshot import open_snapshot


def pools_of(one: Any) -> dict[str, int]:
    """How many shards of each pool a node owns."""
    ownership, counts = one.node.ownership, {}
    for shard in ownership.shards():
        pin = ownership.pools.pin(shard)
        counts[pin] = counts.get(pin, 0) + 1
    return counts


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


async def test_the_shards_of_a_version_belong_to_the_nodes_that_have_it(serve) -> None:  # noqa: F811
    one = await serve("one", "v1")
    assert pools_of(one) == {"": 256, "@v1": 256}
    both = await serve("both", "v1", "v2")
    two = await serve("two", "v2")
    await until(lambda: "@v2" not in pools_of(one) and len(pools_of(two)) == 2 and len(pools_of(both)) == 3)
    await until(
        lambda: all(sum(pools_of(each).get(pin, 0) for each in (one, both, two)) == 256 for pin in ("", "@v1", "@v2"))
    )
    assert "@v1" not in pools_of(two)
    assert min(*pools_of(one).values(), *pools_of(both).values(), *pools_of(two).values()) > 20
    await both.stop()
    await until(lambda: pools_of(one).get("@v1") == 256 and pools_of(two).get("@v2") == 256)


async def test_each_node_begins_runs_in_shards_of_its_own(serve) -> None:  # noqa: F811
    one, two = await serve("one", "v1"), await serve("two", "v2")
    for each, pin in ((one, "@v1"), (two, "@v2")):
        for _ in range(20):
            run_id = await each.open()
            assert each.node.ownership.owns(each.node.ownership.home(run_id, pin))
            await each.waits(run_id, "go")
            assert [message.kind for message in await each.node.reader.messages(run_id)] == []


async def test_a_run_that_is_moved_goes_on_at_a_node_with_the_new_version(serve) -> None:  # noqa: F811
    one, two = await serve("one", "v1"), await serve("two", "v2")
    runs = [await one.open() for _ in range(8)]
    for run_id in runs:
        await one.waits(run_id, "go")
    for run_id in runs:
        row = await two.node.reader.run(run_id)
        assert (await two.engine.move(row, MoveAsk(to="@v2", actor="test", move="m"))).status == "moved"
    # Signals come by the node that no longer has them.
    for run_id in runs:
        await one.signal(run_id, "go")
        await one.signal(run_id, "end")
    for run_id in runs:
        finished = await one.engine.result(run_id, 20)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, ["pack", "courier"])
        assert run_id not in one.engine._owner.live
        chains = {segment.chain.partition("/")[0] for segment in (await two.node.reader.journal(run_id))[-1:]}
        assert chains == {"two"}


async def test_a_parked_run_wakes_at_its_new_node(serve) -> None:  # noqa: F811
    one, two = await serve("one", "v1"), await serve("two", "v2")
    run_id = await one.open()
    await one.waits(run_id, "go")
    await until(lambda: run_id not in one.engine._owner.live)
    row = await two.node.reader.run(run_id)
    assert (await two.engine.move(row, MoveAsk(to="@v2", actor="test", move="m"))).status == "moved"
    await two.signal(run_id, "go")
    await two.waits(run_id, "end")
    assert [record.kind for record in await two.records(run_id)].count(Kind.VERSION) == 1


async def test_a_node_that_lost_a_pool_writes_nothing_to_its_runs(serve, postgres_server, postgres_dsn) -> None:  # noqa: F811
    one = await serve("one", "v1")
    run_id = await one.open()
    await one.waits(run_id, "go")
    home = one.node.ownership.home(run_id, "@v1")
    database = postgres_dsn.rpartition("/")[2]
    # Of the pool alone: the shard with the same number that is in none stays.
    raised = f"UPDATE lease SET epoch = epoch + 1 WHERE shard = {home} AND pool = '@v1'"

    def taken(changes: Changes) -> None:
        changes.homes[run_id] = home
        changes.taken.append((run_id, "nothing"))

    flusher = one.node.writer.flushers[byte_of(home) % len(one.node.writer.flushers)]
    # No heartbeat tells before it is sent.
    async with one.node.keeper._leases._turn:
        await asyncio.to_thread(postgres_server.query, database, raised)
        flusher._tried = {}
        committing = asyncio.ensure_future(one.node.commit(taken, home))
        await until(lambda: flusher._tried)
    with pytest.raises(Fenced):
        await committing
    # It finds out under which epoch it owns it now, and goes on.
    await one.signal(run_id, "go")
    await one.waits(run_id, "end")


async def test_what_no_node_can_run_is_kept_and_can_be_ended_or_moved(serve) -> None:  # noqa: F811
    one = await serve("one", "v1")
    runs = [await one.open() for _ in range(3)]
    for run_id in runs:
        await one.waits(run_id, "go")
    two = await serve("two", "v2")
    await one.stop()
    await until(lambda: pools_of(two).get("@v1") == 256)
    with open_snapshot(two.node.keeper._dsn) as snapshot:
        assert {each.version: each.count for each in snapshot.homeless()} == {"v1": 3}
    before = [await two.records(run_id) for run_id in runs]
    for run_id in runs:
        await two.signal(run_id, "go")
    ended, moved, kept = runs
    row = await two.node.reader.run(ended)
    await two.engine.terminate(row, "gone", Decision(verb=Verb.TERMINATE, at_us=1))
    assert (await two.engine.result(ended, 5)).outcome is Outcome.TERMINATED
    row = await two.node.reader.run(moved)
    assert (await two.engine.move(row, MoveAsk(to="@v2", actor="test", move="m"))).status == "moved"
    await two.waits(moved, "end")
    assert await two.records(kept) == before[2]
    with open_snapshot(two.node.keeper._dsn) as snapshot:
        assert {each.version: each.count for each in snapshot.homeless()} == {"v1": 1}
    again = await serve("again", "v1")
    await again.waits(kept, "end")
    with open_snapshot(two.node.keeper._dsn) as snapshot:
        assert snapshot.homeless() == []


async def test_a_pool_that_nobody_needs_is_given_to_the_next_version(serve, postgres_server, postgres_dsn) -> None:  # noqa: F811
    database = postgres_dsn.rpartition("/")[2]

    def pools() -> dict[str, int]:
        rows = postgres_server.query(database, "SELECT pool, count(*), min(shard), max(shard) FROM lease GROUP BY 1")
        assert all(last - first == 255 and count == 256 for _, count, first, last in rows)
        return {pool: first for pool, _, first, _ in rows}

    one = await serve("one", "v1")
    run_id = await one.open()
    await one.waits(run_id, "go")
    assert pools() == {"default": 0, "@v1": 256}
    await one.stop()
    # A run is pinned to v1.
    two = await serve("two", "v2")
    assert pools() == {"default": 0, "@v1": 256, "@v2": 512}
    row = await two.node.reader.run(run_id)
    await until(lambda: two.node.ownership.owns(two.node.ownership.home(run_id, "@v1")))
    await two.engine.terminate(row, "", Decision(verb=Verb.TERMINATE, at_us=1))
    epochs = postgres_server.query(database, "SELECT min(epoch) FROM lease WHERE pool = '@v1'")[0][0]
    assert await two.node.reader.announce("two", {"v2": "digest-v2", "v3": "digest-v3"}, "v3", 2) == {}
    assert pools() == {"default": 0, "@v3": 256, "@v2": 512}
    assert postgres_server.query(database, "SELECT min(epoch) FROM lease WHERE pool = '@v3'")[0][0] > epochs
    ownership = two.node.ownership
    assert ownership.home(run_id, "@v1") == NOWHERE
    assert ownership.owns(ownership.home(run_id, "@v3"))
    assert byte_of(ownership.home(run_id, "@v3")) == run_id[15]
