"""Gathering: what is asked for one by one and comes at the same time is asked as one.

Hundreds of runs come into memory together after a start, a take-over, or when their turns in a queue come, and each
asks for itself what it needs next; small contents are put by many at a time. A round trip (or a thread's turn) for each
costs more than the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["Gather"]

Q = TypeVar("Q", bound=Hashable)
T = TypeVar("T")
MOST = 64
"""Questions in one."""
UNDER_WAY = 2
"""Gathered questions under way at the same time. Who comes meanwhile waits, and goes with the next."""


class Gather(Generic[Q, T]):
    """``await gather(asked)`` gives what ``read`` finds for it, ``None`` where it finds nothing. Belongs to one loop.

    The answer is never older than its question. What ``read`` raises, all that were in it raise.
    """

    def __init__(
        self, read: Callable[[list[Q]], Awaitable[Mapping[Q, T]]], *, most: int = MOST, under_way: int = UNDER_WAY
    ) -> None:
        self._read, self._most, self._under_way = read, most, under_way
        self._waiting: list[tuple[Q, asyncio.Future[T | None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._soon = False

    async def __call__(self, one: Q) -> T | None:
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        self._next()
        return await future

    def _next(self) -> None:
        if self._waiting and not self._soon and len(self._tasks) < self._under_way:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._go)

    def _go(self) -> None:
        self._soon = False
        # Who has given up is not asked for.
        waiting = [one for one in self._waiting if not one[1].done()]
        asked, self._waiting = waiting[: self._most], waiting[self._most :]
        if not asked:
            return
        task = asyncio.get_running_loop().create_task(self._answer(asked))
        self._tasks.add(task)
        task.add_done_callback(self._gone)
        self._next()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._next()

    async def _answer(self, asked: list[tuple[Q, asyncio.Future[T | None]]]) -> None:
        try:
            found = await self._read(list(dict.fromkeys(one for one, _ in asked)))
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
            for one, future in asked:
                if not future.done():
                    future.set_result(found.get(one))
