"""Writing to a run from outside: where nothing can be written, nothing is left in memory that stands in its way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rco.engine.aside import append_aside, ghost_of
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
