"""Gathering: questions about single runs that come at the same time are put as one.

Hundreds of runs come into memory together after a start, a take-over, or when their turns in a queue come. Each asks
for itself what it needs next; a round trip (or a thread's turn) for each answer costs more than the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

__all__ = ["Gather"]

T = TypeVar("T")
MOST = 64
"""Questions in one."""
UNDER_WAY = 2
"""Gathered questions under way at the same time. Who comes meanwhile waits, and goes with the next."""


class Gather(Generic[T]):
    """``await gather(run_id)`` gives what ``read`` finds for it, ``None`` where it finds nothing. Belongs to one loop.

    The answer is never older than its question. What ``read`` raises, all that were in it raise.
    """

    def __init__(self, read: Callable[[list[bytes]], Awaitable[Mapping[bytes, T]]]) -> None:
        self._read = read
        self._waiting: list[tuple[bytes, asyncio.Future[T | None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._soon = False

    async def __call__(self, run_id: bytes) -> T | None:
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((run_id, future))
        self._next()
        return await future

    def _next(self) -> None:
        if self._waiting and not self._soon and len(self._tasks) < UNDER_WAY:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._go)

    def _go(self) -> None:
        self._soon = False
        asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        task = asyncio.get_running_loop().create_task(self._answer(asked))
        self._tasks.add(task)
        task.add_done_callback(self._gone)
        self._next()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._next()

    async def _answer(self, asked: list[tuple[bytes, asyncio.Future[T | None]]]) -> None:
        try:
            found = await self._read(list(dict.fromkeys(run_id for run_id, _ in asked)))
        except BaseException as problem:
            for _, future in asked:
                if not future.done():
                    if isinstance(problem, asyncio.CancelledError):
                        future.cancel()
                    else:
                        future.set_exception(problem)
            if isinstance(problem, asyncio.CancelledError):
                raise
        else:
            for run_id, future in asked:
                if not future.done():
                    future.set_result(found.get(run_id))
