"""How a keeper reaches its model database: at once, or over a wire that has faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from rco.errors import StoreError

__all__ = ["ConnectionLost", "DirectLink", "Link"]


class ConnectionLost(StoreError):
    """The connection broke before the answer came: it may have been done or not."""


class Link(Protocol):
    """Carries requests to a database and answers back, each on the side that it belongs to."""

    def ask(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        """Have the database do ``request``, then call ``answer(result, error)`` here, in a later turn of the loop."""
        ...

    def listen(self, node: str, mail: Callable[[list[bytes]], None]) -> None:
        """Have ``mail`` called with the runs of ``node`` that somebody else wrote to."""
        ...


class DirectLink:
    """Does what is asked in the next turn of the running loop, and never fails."""

    def ask(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        asyncio.get_running_loop().call_soon(self._do, request, answer)

    def _do(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        try:
            result = request()
        except Exception as problem:  # noqa: BLE001 - it is the answer
            answer(None, problem)
        else:
            answer(result, None)

    def listen(self, node: str, mail: Callable[[list[bytes]], None]) -> None:
        """There is nobody else."""


async def told(link: Link, request: Callable[[], Any]) -> Any:
    """Ask and wait for the answer. Raises what the request raised."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answer(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    link.ask(request, answer)
    return await future
