"""Writing to a run from outside: where nothing can be written, nothing is left in memory that stands in its way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rco.engine.aside import append_aside, ghost_of
from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.options import EngineOptions
from rco.engine.owner import Owner
from rco.errors import StoreError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.journal import Kind, Record
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Changes
from rco.store.contract.ownership import SoleOwner


def made(changes: Any) -> tuple[Owner, RunRow]:
    writer: Any = SimpleNamespace(changes=changes)
    owner = Owner(writer, SystemClock(), Ids(), EngineOptions(), SoleOwner())
    row = RunRow(run_id=Ids().uuid7(), workflow="w", version="@v1", mode=Mode.QUEUED, opened_us=1)
    return owner, row


@pytest.mark.parametrize("when", ["before", "while it is written"])
async def test_no_ghost_stays_where_it_cannot_be_written(when: str) -> None:
    collecting = Changes()

    def changes(_: int) -> Changes:
        if when == "before":
            raise StoreError("The writer has ended.")
        return collecting

    owner, row = made(changes)
    if when == "while it is written":
        owner.loop.call_soon(lambda: [lost(StoreError("Lost.")) for lost in collecting.lost])
    record = Record(Kind.VERSION, "", 1, b"", {})
    with pytest.raises(StoreError):
        await append_aside(owner, ghost_of(owner, row), 1, record, lambda _: None, lambda: None)
    assert row.run_id not in owner.live


async def test_a_ghost_whose_shard_left_takes_nobody_else_out_of_memory() -> None:
    """Its commit stood, and the answer came late: the shard had left and come back, and the run was loaded again. Taken
    out of memory by its name it would have gone on without being seen, and would have been loaded once more."""
    collecting = Changes()
    owner, row = made(lambda _: collecting)
    ghost = ghost_of(owner, row)
    record = Record(Kind.VERSION, "", 1, b"", {})
    writing = owner.loop.create_task(append_aside(owner, ghost, 1, record, lambda _: None, lambda: None))
    async with asyncio.timeout(5):
        while row.run_id not in owner.live:
            await asyncio.sleep(0)
        owner._leave(frozenset({ghost.shard}))
        assert row.run_id not in owner.live
        back = owner.live[row.run_id] = Live(row.run_id, Machine(row.run_id), {"workflow": "w"}, 1)
        for then, arguments in collecting.then:
            then(*arguments)
        await writing
    assert owner.live[row.run_id] is back
    assert not back.ending
