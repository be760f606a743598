"""Several nodes on one PostgreSQL: who owns a schedule's shard starts its ticks, whoever was asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.kit.clock import iso
from rco.kit.ids import id_bytes
from rco.model.run import shard_of
from rco.operations.schedule_steer import backfill_schedule, pause_schedule, resume_schedule, trigger_schedule

from .conftest import OPERATOR, Node

HOUR = 3600.0


@pytest.fixture(params=["postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    return request.getfixturevalue("postgres_home")


async def pair(nodes: Any) -> tuple[Node, Node]:
    """Two nodes that share the shards."""
    one, two = await nodes("one"), await nodes("two")

    async def shared() -> bool:
        return all(len(node.keeper.ownership.shards()) > 64 for node in (one, two))

    await one.until(shared)
    return one, two


async def test_a_node_that_does_not_own_it_changes_it(nodes: Any) -> None:
    one, two = await pair(nodes)
    made = await one.create(every_s=HOUR)
    owner, other = (one, two) if one.scheduler.owns(id_bytes(made.id)) else (two, one)
    run_id = await trigger_schedule(other.desk, OPERATOR, "s")
    await owner.started(1)
    assert shard_of(id_bytes(run_id)) == shard_of(id_bytes(made.id))
    await pause_schedule(other.desk, OPERATOR, "s")
    await owner.move(HOUR)
    await resume_schedule(other.desk, OPERATOR, "s")
    await owner.move(HOUR)
    other.scheduler.wake()
    schedule = await owner.started(2)
    assert (other.lateness, len(owner.lateness)) == ([], 2)
    assert schedule.state.recent[0].kind == "tick"


async def test_of_changes_from_both_none_is_lost(nodes: Any) -> None:
    one, two = await pair(nodes)
    await one.create(every_s=HOUR, overlap="allow")
    asked = [trigger_schedule(node.desk, OPERATOR, "s") for _ in range(15) for node in (one, two)]
    ids = await asyncio.gather(*asked)
    await one.started(30)
    assert {row.run_id for row in await one.runs()} == {id_bytes(run_id) for run_id in ids}


async def test_ticks_and_backfills_go_on_when_their_node_is_gone(nodes: Any) -> None:
    one, two = await pair(nodes)
    for number in range(8):
        await one.create(f"s{number}", every_s=HOUR, overlap="allow")
    owned = [number for number in range(8) if one.scheduler.owns((await one.schedule(f"s{number}")).schedule_id)]
    assert owned
    await one.stop()
    await two.move(HOUR)
    for number in range(8):
        schedule = await two.started(1, f"s{number}")
        tick_us = schedule.state.recent[0].tick_us
        assert tick_us % round(HOUR * 1e6) == 0
    until = schedule.state.recent[0].tick_us
    await backfill_schedule(two.desk, OPERATOR, "s0", iso(until - round(5 * HOUR * 1e6)), iso(until), "allow")

    async def counted() -> bool:
        # The tick that had its run already is taken out of the count by the commit after.
        state = (await two.schedule("s0")).state
        return state.started == 5 and not state.backfills

    await two.until(counted)
    keys = [row.key for row in await two.runs()]
    assert len(keys) == len(set(keys))
