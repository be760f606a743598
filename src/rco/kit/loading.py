"""The lane in which code is loaded while the service runs: on a thread, one thing after another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["load_in_turn"]

T = TypeVar("T")
_lane = threading.Lock()


async def load_in_turn(load: Callable[[], T]) -> T:
    """What ``load`` returns or raises, called on a thread when nobody else in this process loads that way.

    Two threads that import at a time can each be handed the other's modules half made, where the modules import each
    other (CPython breaks that deadlock so: ``importlib._bootstrap._DeadlockError``), and libraries look into
    ``sys.modules`` for what others brought: strawberry takes a pydantic that it finds there for a whole one. Cancelled,
    it ends the wait and not the thread. ``load`` may not wait for another that loads this way.
    """
    return await asyncio.to_thread(_in_turn, load)


def _in_turn(load: Callable[[], T]) -> T:
    with _lane:
        return load()
