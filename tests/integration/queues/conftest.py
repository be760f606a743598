"""Nodes with an engine and a dispatcher over a real keeper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.scheduler.conftest import Node as SchedulerNode
from tests.integration.scheduler.conftest import clock, home, nodes, options, postgres_home

from rco.engine.ask import StartAsk
from rco.model.decision import Decision, Verb
from rco.model.queue import Queue
from rco.model.run import Mode
from rco.operations.export_runs import export_runs
from rco.queues.options import QueueOptions
from rco.store.contract.queues import Counted
from rco.store.opening import open_snapshot
from rco.verify.check import check
from rco.verify.sources import read_export
from rco.verify.verdict import RuleVerdict

__all__ = ["Node", "clock", "home", "nodes", "options", "postgres_home"]


class Node(SchedulerNode):
    """One process's worth of RCO, without the doors, with queues."""

    queues: Mapping[str, Queue] = {"q": Queue(concurrency=2)}
    queue_options = QueueOptions(poll_s=0.2, page=4)

    async def start(self) -> Node:
        await super().start()
        await self.dispatcher.start()
        return self

    async def stop(self) -> None:
        await self.dispatcher.stop()
        await super().stop()

    async def open(self, workflow: str = "hang", given: Any = None, queue: str = "q", **more: Any) -> bytes:
        return (await self.engine.start_run(StartAsk(workflow=workflow, input=given, queue=queue, **more))).run_id

    async def mode(self, run_id: bytes) -> Mode:
        row = await self.keeper.reader.run(run_id)
        assert row is not None
        return row.mode

    async def is_in(self, mode: Mode, *run_ids: bytes) -> None:
        """Wait until all are in ``mode``."""

        async def so() -> bool:
            return all([await self.mode(run_id) is mode for run_id in run_ids])

        await self.until(so)

    async def go(self, run_id: bytes) -> None:
        """Let a hanging run close."""
        await self.engine.signal(run_id, "go", None, run_id.hex(), Decision(verb=Verb.SIGNAL, at_us=0))

    async def counted(self, queue: str = "q") -> Counted:
        found = {one.queue: one for one in await self.keeper.reader.queue_counts()}
        return found.get(queue, Counted(queue, 0, 0, 0, None))

    async def order(self) -> list[str]:
        """Runs in the order in which they were given their turns."""
        return [one.run for one in await self.decisions() if one.verb is Verb.DISPATCH and one.allow]

    async def verified(self, path: Path) -> dict[str, RuleVerdict]:
        """What the checker says, by rule, of an export of what stands in the store; it is made at ``path``."""
        where = str(getattr(self.keeper, "_path", "") or self.keeper._dsn)

        def export() -> dict[str, RuleVerdict]:
            with open_snapshot(where) as snapshot, path.open("wb") as file:
                file.writelines(export_runs(snapshot, at_us=1, version="test"))
            return {one.rule: one for one in check(read_export(path)).rules}

        return await asyncio.to_thread(export)


@pytest.fixture
def kind() -> type[Node]:
    return Node


@pytest.fixture
async def node(nodes: Any) -> Any:
    return await nodes()
