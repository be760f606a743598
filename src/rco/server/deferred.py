"""An application that is loaded when the service is up already: what it takes to load is not waited for at a start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.kit.lifecycle import stop_task
from rco.kit.loading import load_in_turn
from rco.server.framing import App, Receive, Scope, Send

__all__ = ["Deferred"]


class Deferred:
    """Makes its application once, on a thread, from ``start`` on; requests that come earlier wait for it. A ``Lives``.
    Those of a process are made one after another.

    ``failed`` is told when it cannot be made; requests then get that error. ``ready`` is called on the loop when it is.
    """

    def __init__(
        self, make: Callable[[], App], *, ready: Callable[[], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._make, self._ready, self._failed = make, ready, failed
        self._made: App | None = None
        self._making: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to make it, and return at once."""
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._prepare(), name="rco-deferred")

    async def stop(self) -> None:
        """Ends the wait, not the thread, which ends by itself. May be called before ``start``, and twice."""
        await stop_task(self._making)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._made is None:
            await self.start()
            assert self._making is not None
            # Others wait for the same: a request that is given up must not take it from them.
            await asyncio.shield(self._making)
        assert self._made is not None
        await self._made(scope, receive, send)

    async def _prepare(self) -> None:
        try:
            self._made = await load_in_turn(self._make)
        except Exception as error:
            self._failed(error)
            raise
        self._ready()
