"""Commits as fast as it can and prints the id of each run whose commit it was told of. Killed by the test."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from rco.audit.chain import ChainSealer
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Admission, Claim, Draft
from rco.store.contract.keeper import Keeper
from rco.store.postgres import PostgresKeeper
from rco.store.sqlite import SqliteKeeper


def keeper_of(kind: str, where: str, clock: SystemClock) -> Keeper:
    if kind == "sqlite":
        return SqliteKeeper(Path(where), clock=clock, ids=Ids(clock), sealer=ChainSealer(), node="child")
    if kind == "postgres":
        return PostgresKeeper(where, clock=clock, ids=Ids(clock), sealer=ChainSealer(), node="child")
    raise SystemExit(f"no keeper {kind!r}")


async def main() -> None:
    clock = SystemClock()
    ids = Ids(clock)
    keeper = keeper_of(sys.argv[1], sys.argv[2], clock)
    await keeper.start()
    writer = keeper.writer

    def say(run_id: bytes) -> None:
        os.write(1, run_id.hex().encode() + b"\n")

    async def inside() -> None:
        while True:
            done = asyncio.get_running_loop().create_future()
            run_id = ids.uuid7()
            changes = writer.changes(0)
            changes.opened.append(RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1))
            draft = Draft(run_id, 0)
            draft.parts += [b"start", bytes(300)]
            changes.drafts.append(draft)
            changes.then += [(say, (run_id,)), (done.set_result, (None,))]
            await done

    async def outside() -> None:
        while True:
            future = asyncio.get_running_loop().create_future()
            run_id = ids.uuid7()
            row = RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1)
            claim = Claim(run_id * 2, "corr", 1 << 60)
            admission = Admission(
                done=future.set_result, failed=future.set_exception, claim=claim, opened=[(row, b"start")]
            )
            writer.changes(0).admissions.append(admission)
            if (await future).status == "accepted":
                say(run_id)

    await asyncio.gather(*(inside() for _ in range(8)), *(outside() for _ in range(8)))


asyncio.run(main())
