"""The end of a revocation list: from then on it cannot be told who was taken back, so no client gets in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.kit.clock import MICROS, Clock
from rco.kit.lifecycle import stop_task
from rco.server.serving import Listener
from rco.server.tls import shut

__all__ = ["ListWatch"]

LOOK_S = 5.0
"""The clock may be set: it is looked at so often at least."""


class ListWatch:
    """Keeps the ``kit.lifecycle.Lives`` contract. Looks at what ``listener`` serves; when its lists end it serves the
    same to nobody, until a reload brings newer ones. ``told`` is called then."""

    def __init__(self, listener: Listener, clock: Clock, told: Callable[[], None]) -> None:
        self._listener, self._clock, self._told = listener, clock, told
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._look_on(), name="rco-revocation-lists")

    async def stop(self) -> None:
        await stop_task(self._task)
        self._task = None

    @property
    def current(self) -> bool:
        """Whether clients can be told from those whose certificates were taken back, where that is asked."""
        return self._listener.tls is None or not self._listener.tls.shut

    async def _look_on(self) -> None:
        while True:
            left_s = await self._look()
            await asyncio.sleep(min(LOOK_S, left_s))

    async def _look(self) -> float:
        tls = self._listener.tls
        if tls is None or not tls.revoked or tls.shut:
            return LOOK_S
        left_s = (tls.revoked_until_us - self._clock.now_us()) / MICROS
        if left_s > 0:
            return left_s
        self._told()
        await self._listener.renew(shut(tls), instead_of=tls)
        return LOOK_S
