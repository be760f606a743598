"""Observe: runs whose version no living node has, as a metric and a log line."""

from __future__ import annotations

import asyncio

from rco.kit.lifecycle import stop_task
from rco.operations.desk import Desk
from rco.telemetry import signals

__all__ = ["EVERY_S", "VersionWatch", "waiting_runs"]

EVERY_S = 30.0
"""A look at each open run, by one of the nodes."""


async def waiting_runs(desk: Desk) -> dict[str, int]:
    """How many open runs wait for each version that runs are pinned to; 0 where a living node has it."""
    nodes = [one for one in await desk.reader.version_nodes() if one.alive]
    have = {one.version for one in nodes}
    counts = await desk.reader.count_versions(None)
    return {one.version: 0 if have & {"", one.version} else one.count for one in counts}


class VersionWatch:
    """The background duty of one node. Where several nodes share a database, the one that owns shard 0 does it; the
    others say 0."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[str, int] = {}

    def begin(self, desk: Desk) -> None:
        """Look every ``EVERY_S`` from now on."""
        self._task = asyncio.get_running_loop().create_task(self._duty(desk), name="rco-versions")

    async def stop(self) -> None:
        await stop_task(self._task)

    async def _duty(self, desk: Desk) -> None:
        while True:
            try:
                await self.look(desk)
            except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on
                desk.log.warning("versions.not_counted", error=problem)
            await asyncio.sleep(EVERY_S)

    async def look(self, desk: Desk) -> None:
        """Bring the metric up to date, and say in the log when runs begin to wait or no longer do."""
        before = self._waiting
        self._waiting = await waiting_runs(desk) if desk.engine.owns(0) else {}
        for version in before.keys() | self._waiting.keys():
            count = self._waiting.get(version, 0)
            desk.metrics.gauge(signals.VERSION_WAITING, version=version).set(count)
            if bool(count) != bool(before.get(version, 0)):
                if count:
                    desk.log.warning("versions.wait", version=version, count=count)
                else:
                    desk.log.info("versions.wait_no_more", version=version)
