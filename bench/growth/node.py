"""``python -m bench.growth.node WHERE NAME NODES RUNS AT_A_TIME STEPS``: one of several nodes on one PostgreSQL.

Says ``ready`` when it owns its share of the shards, begins when it reads a line, says ``done`` when its runs are, and
ends when it reads another: until then it goes on with its heartbeats, so that no shard moves while others measure.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial

import uvloop

from rco.measure.rig import Rig, side_by_side
from rco.measure.scratch import Place

__all__ = ["main"]

_SHARDS = 256


async def main(where: str, name: str, nodes: str, runs: str, at_a_time: str, steps: str) -> None:
    place = Place(where=where, kind="database", name="")
    async with Rig(place, node=name) as rig:
        async with asyncio.timeout(60):
            while not _settled(rig, int(nodes)):
                await asyncio.sleep(0.05)
        one = partial(rig.run, "steps", int(steps))
        await side_by_side(int(at_a_time), int(at_a_time), one, rig.meter)
        await _say("ready")
        cpu = time.process_time()
        await side_by_side(int(runs), int(at_a_time), one, rig.meter)
        await _say(f"done {time.process_time() - cpu}")


def _settled(rig: Rig, nodes: int) -> bool:
    shards = rig.keeper.ownership.shards()
    return shards is not None and 0 < len(shards) <= _SHARDS / nodes * 1.5


async def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
