"""An application that is loaded behind the start: once, and nobody is sent away meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rco.server.deferred import Deferred
from rco.server.framing import App


class Making:
    """Makes an application when it is let, and counts."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.go, self.made, self.told, self.ready = threading.Event(), 0, list[BaseException](), 0
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        self.problem = problem
        self.deferred = Deferred(self._make, ready=self._ready, failed=self.told.append)

    def _make(self) -> App:
        assert self.go.wait(30)
        self.made += 1
        self.thread = threading.current_thread()
        self.over.set()
        if self.problem is not None:
            raise self.problem
        return answer

    def _ready(self) -> None:
        self.ready += 1


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send(scope["path"])


async def ask(deferred: Deferred, path: str) -> list[str]:
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await deferred({"path": path}, _nothing, send)
    return sent


async def _nothing() -> dict[str, Any]:
    return {}


async def test_early_requests_wait_and_it_is_made_once_on_a_thread() -> None:
    making = Making()
    await making.deferred.start()
    early = [asyncio.create_task(ask(making.deferred, f"/{n}")) for n in range(3)]
    gone = asyncio.create_task(ask(making.deferred, "/gone"))
    await asyncio.sleep(0)
    gone.cancel()
    making.go.set()
    assert await asyncio.gather(*early) == [["/0"], ["/1"], ["/2"]]
    assert await ask(making.deferred, "/late") == ["/late"]
    assert (making.made, making.ready, making.told) == (1, 1, [])
    assert making.thread is not threading.main_thread()
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_request_alone_has_it_made() -> None:
    making = Making()
    making.go.set()
    assert await ask(making.deferred, "/") == ["/"]
    await making.deferred.stop()


async def test_what_cannot_be_made_is_told_and_refused() -> None:
    problem = ImportError("no framework")
    making = Making(problem)
    making.go.set()
    with pytest.raises(ImportError):
        await ask(making.deferred, "/")
    with pytest.raises(ImportError):
        await ask(making.deferred, "/")
    assert making.told == [problem]
    assert (making.made, making.ready) == (1, 0)


async def test_a_stop_while_it_is_made_ends_the_wait() -> None:
    making = Making()
    await making.deferred.stop()
    await making.deferred.start()
    await making.deferred.stop()
    making.go.set()
    await making.deferred.stop()
    assert making.ready == 0


async def test_of_two_the_second_is_not_begun_before_the_first_is_whole() -> None:
    """Both would import: what the one finds half loaded of the other's, it takes for whole."""
    first, second = Making(), Making()
    await first.deferred.start()
    await second.deferred.start()
    second.go.set()
    assert not await asyncio.to_thread(second.over.wait, 0.3)
    first.go.set()
    assert await ask(second.deferred, "/two") == ["/two"]
    assert (first.made, second.made) == (1, 1)
    await first.deferred.stop()
    await second.deferred.stop()
