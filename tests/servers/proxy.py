"""Between a node and PostgreSQL: passes everything on until it is told to be a bad network."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Proxy"]

_ClosedOneWay = RuntimeError
"""What asyncio raises for writing behind one's own end."""


class Proxy:
    """Listens on ``port`` of 127.0.0.1. What is told it holds for the connections there are and for later ones."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.passing = asyncio.Event()
        """Cleared, the server's answers are kept back."""
        self.passing.set()
        self.refuse = False
        """New connections end at once."""
        self.delay_s = 0.0
        """How long each piece is held, either way."""
        self.catch = b""
        """What is looked for in what the node says; when it comes, the server's answers are kept back."""
        self.lose = False
        """And what the node said never arrives."""
        self.caught = asyncio.Event()
        self.swallow = b""
        """When this comes in what the node says, it is passed on, and the connection ends instead of the answer."""
        self.swallowed = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, inner_writer)
        self._pairs.add(pair)
        for task in (
            asyncio.create_task(self._up(reader, pair)),
            asyncio.create_task(self._down(inner_reader, pair)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _up(self, reader: asyncio.StreamReader, pair: _Pair) -> None:
        with contextlib.suppress(OSError, _ClosedOneWay):
            while data := await reader.read(1 << 16):
                await self._hold()
                if pair.mute:
                    continue
                if self.swallow and self.swallow in data:
                    self.swallow = b""
                    pair.swallows = True
                if self.catch and self.catch in data:
                    self.catch = b""
                    self.passing.clear()
                    self.caught.set()
                    if self.lose:
                        continue
                pair.server.write(data)
                await pair.server.drain()
        pair.server.close()

    async def _down(self, reader: asyncio.StreamReader, pair: _Pair) -> None:
        with contextlib.suppress(OSError, _ClosedOneWay):
            while data := await reader.read(1 << 16):
                await self.passing.wait()
                await self._hold()
                if pair.mute:
                    continue
                if pair.swallows:
                    # The server has done it, and nobody hears so.
                    self.swallowed += 1
                    pair.abort()
                    break
                pair.node.write(data)
                await pair.node.drain()
        pair.node.close()
        self._pairs.discard(pair)

    async def _hold(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for pair in self._pairs:
            pair.abort()
        self._pairs.clear()

    def mute(self) -> None:
        """The connections there are carry nothing any more, and nobody is told; new ones work. As behind a firewall
        that has forgotten them."""
        for pair in self._pairs:
            pair.mute = True

    def half_close(self) -> None:
        """Say on every connection that one side says no more; the other may go on."""
        for at, pair in enumerate(list(self._pairs)):
            with contextlib.suppress(OSError):
                (pair.server if at % 2 else pair.node).write_eof()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.passing.set()
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Pair:
    """One connection of a node, and ours to the server for it."""

    def __init__(self, node: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.node, self.server = node, server
        self.swallows = self.mute = False

    def abort(self) -> None:
        self.node.transport.abort()
        self.server.transport.abort()
