"""``python -m rco.drills.node CONFIG LOG CALM_S FULL_S``: the service as it is wired for everybody, with faults that
can be had.

Each line on standard input is a ``Fault``, which holds until the next; each is answered by a line on standard output,
which says ``ready`` at first. What the service logs goes to the file. SIGTERM, or the end of the input, ends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from rco.drills.faults import Fault, Faults, plant
from rco.kit.dumps import forbid_dumps

__all__ = ["main"]

_SEED = 20_261_128


async def _live(config: Path, faults: Faults, tell: int) -> int:
    # Not before the faults are planted: what is put together takes what it finds.
    from rco.app import build
    from rco.config import load

    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    service = await build(load(config, os.environ, {}).settings, migrating=True)
    await service.start()
    service.failed.add_done_callback(lambda _: ending.set())
    os.write(tell, b"ready\n")
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def listen() -> None:
        while line := await reader.readline():
            faults.now = msgspec.json.decode(line, type=Fault)
            os.write(tell, b"done\n")
        ending.set()

    listening = asyncio.create_task(listen())
    await ending.wait()
    listening.cancel()
    await service.stop()
    return 1 if service.failed.done() else 0


def main(config: str, log: str, calm_s: str, full_s: str) -> int:
    tell = os.dup(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    forbid_dumps()
    faults = Faults(_SEED)
    plant(faults)
    from rco.bridge import brownout

    brownout.CALM_S, brownout.QUEUE_FOR_S = float(calm_s), float(full_s)
    return uvloop.run(_live(Path(config), faults, tell))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
