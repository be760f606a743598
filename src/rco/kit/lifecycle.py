"""The start/stop contract of everything that lives long."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

__all__ = ["Lives", "stop_task"]


class Lives(Protocol):
    """A thing with a life.

    ``start`` returns when the thing works, and may be called once. ``stop`` returns only when nothing of it runs any
    more; it may be called before ``start``, twice, and while ``start`` is failing.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def stop_task(task: asyncio.Task[Any] | None) -> None:
    """Cancel ``task`` and wait until it has ended. Its own errors are its own affair; ours is that it is gone."""
    if task is None:
        return
    task.cancel()
    await asyncio.wait([task])
