"""Record the histories of this release: ``python -m tests.histories.record``. Done once for each release; the files of
older ones are never written again."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.histories import workflows
from tests.integration.engine.conftest import Node

import rco
from rco.engine.forking import ForkAsk
from rco.engine.options import EngineOptions
from rco.kit.clock import SystemClock
from rco.model.decision import Decision, Verb
from rco.model.run import Mode
from rco.operations.export_runs import export_runs
from rco.store import migrate
from rco.store.opening import open_snapshot
from rco.store.options import StoreOptions

HERE = Path(__file__).parent


def decided(verb: Verb) -> Decision:
    return Decision(verb=verb, at_us=0, actor="recorder")


async def live(path: Path) -> None:
    """Have every workflow do all it can."""
    migrate.up(path)
    node = Node(path, EngineOptions(park_after_s=0.0))
    await node.start(*workflows.ALL)

    async def in_mode(run_id: bytes, mode: Mode) -> None:
        async def is_so() -> bool:
            return (await node.keeper.reader.run(run_id)).mode is mode

        await node.until(is_so)

    steps = await node.open("h_steps", {"n": 1})
    await node.end(steps)
    await node.end((await node.engine.fork(await node.keeper.reader.run(steps), ForkAsk(step="echo#2"))).run_id)
    for paused in (False, True):
        run_id = await node.open("h_signals")
        if paused:
            await node.engine.pause(run_id, "why", "recorder", decided(Verb.PAUSE))
            await in_mode(run_id, Mode.PAUSED)
            await node.engine.resume(run_id, "go", "recorder", decided(Verb.RESUME))
        await node.signal(run_id, "go", {"paused": paused})
        await node.end(run_id)
    await node.run(workflows.h_branches, 3)
    await node.run(workflows.h_undo, "fail")
    run_id = await node.open("h_undo", "cancel")
    await in_mode(run_id, Mode.PARKED)
    await node.cancel(run_id)
    await node.end(run_id)
    await node.run(workflows.h_once)
    for verdict in ("done", "failed", "again"):
        workflows.lose = True
        run_id = await node.open("h_once")
        await in_mode(run_id, Mode.IN_DOUBT)
        workflows.lose = False
        await node.engine.settle(run_id, "once", verdict, "seen", "looked", "recorder", decided(Verb.SETTLE))
        await node.end(run_id)
    heard = await node.open("h_heard", "ada")
    await in_mode(heard, Mode.PARKED)
    await node.run(workflows.h_told, "ada")
    await node.end(heard)
    await node.run(workflows.h_patched)
    ended = await node.open("h_signals")
    await in_mode(ended, Mode.PARKED)
    await node.engine.terminate(await node.keeper.reader.run(ended), "enough", decided(Verb.CANCEL))
    # These stay open, each in its way.
    await in_mode(await node.open("h_signals"), Mode.PARKED)
    workflows.lose = True
    await in_mode(await node.open("h_once"), Mode.IN_DOUBT)
    await node.stop()


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rco.db"
        asyncio.run(live(path))
        counts: Any = None
        from rco.operations.export_runs import Counts

        counts = Counts()
        with open_snapshot(str(path), StoreOptions()) as snapshot, out.open("wb") as file:
            at_us = SystemClock().now_us()
            file.writelines(export_runs(snapshot, at_us=at_us, version=rco.__version__, payloads=True, counts=counts))
    sys.stdout.write(f"{out}: {counts.runs} runs, {counts.records} records\n")


if __name__ == "__main__":
    main(HERE / f"{rco.__version__}.jsonl")
