"""One time limit for many tasks: at most one timer at a time, and two entries in a dictionary for each task.

``asyncio.timeout`` makes a timer for each use, on every request; nearly none of them ever rings.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Deadlines"]


class Deadlines:
    """Cancels each task that is inside for longer than ``timeout_s``. Belongs to one loop."""

    __slots__ = ("_due", "_rung", "_timer", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        # The same limit for all, so they are due in the order in which they came in.
        self._due: dict[asyncio.Task[Any], float] = {}
        self._rung: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """From now on the current task has its time; ``end`` must follow, with what this returns."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline is for a task")
        due = self._due[task] = loop.time() + self.timeout_s
        if self._timer is None:
            self._timer = loop.call_at(due, self._ring)
        return task

    def passed(self, task: asyncio.Task[Any]) -> bool:
        """Whether a cancellation that ``task`` has just met is the deadline's, and nobody else's besides."""
        return task in self._rung and task.uncancel() == 0

    def end(self, task: asyncio.Task[Any]) -> None:
        """The task is out, in time or not."""
        self._due.pop(task, None)
        if self._rung:
            self._rung.discard(task)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._due:
            task, due = next(iter(self._due.items()))
            if due > now:
                self._timer = loop.call_at(due, self._ring)
                return
            del self._due[task]
            self._rung.add(task)
            task.cancel()
