"""A sender as a process of its own, told what to send, heard every second."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import msgspec

from rco.drills.load import Came, Load, Said, Way

__all__ = ["Sending"]

_LINE_BYTES_MAX = 16 << 20
_END_S = 60.0
_READY_S = 60.0


class Sending:
    """``async with Sending(way, heard) as sending``: ready to send, at rate 0. ``heard`` is given each second."""

    def __init__(self, way: Way, heard: Callable[[Said], None] = lambda _: None) -> None:
        self._way, self._heard = way, heard
        self._process: asyncio.subprocess.Process
        self._hearing: asyncio.Task[Said]
        self.load = Load(phase="")
        self.cpu_s = 0.0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rco.drills.sender"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
        )
        try:
            await self._write(self._way)
            async with asyncio.timeout(_READY_S):
                first = await self._line()
            if not first.ready:
                raise RuntimeError(f"the sender cannot send: {first.wrong}")
        except BaseException:
            await self._end()
            raise
        self._hearing = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        await self._end()

    async def send(self, load: Load) -> None:
        """Send this from now on. Raises ``RuntimeError`` when the sender has ended."""
        if self._hearing.done():
            raise RuntimeError("the sender has ended")
        self.load = load
        await self._write(load)

    async def finish(self) -> list[Came]:
        """Wait for the answers that are due; gives what came of everything. To be called once."""
        await self._write(Load(phase=self.load.phase, stop=True))
        async with asyncio.timeout(_END_S):
            last = await self._hearing
        self.cpu_s = last.cpu_s
        return last.came

    async def _write(self, value: Way | Load) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(value) + b"\n")
        await self._process.stdin.drain()

    async def _line(self) -> Said:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return msgspec.json.decode(line, type=Said) if line else Said(wrong="it ended without a word")

    async def _listen(self) -> Said:
        while True:
            said = await self._line()
            if said.wrong:
                raise RuntimeError(f"the sender ended: {said.wrong}")
            if said.ended:
                return said
            self._heard(said)

    async def _end(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
