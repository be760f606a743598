"""An intake: whatever goes wrong, it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rco.brokers.contract import Incoming
from rco.errors import BrokerAway, BrokerRefused, Conflict, StoreError
from rco.relay.intake import Intake


class Topic:
    """A source with one message, whose first take fails."""

    def __init__(self, problem: Exception | None) -> None:
        self.problem = problem
        self.settled: list[str] = []
        self.waiting = [Incoming("t/0/1", "k", b"{}", {}, None)]
        self.done = asyncio.Event()

    async def take(self, limit: int, wait_s: float) -> list[Incoming]:
        problem, self.problem = self.problem, None
        if problem is not None:
            raise problem
        if not self.waiting:
            await asyncio.Event().wait()
        taken, self.waiting = self.waiting, []
        return taken

    async def settle(self, taken: Sequence[Incoming]) -> None:
        self.settled += [one.place for one in taken]
        self.done.set()

    async def give_back(self, taken: Sequence[Incoming]) -> None:
        self.waiting = list(taken)

    async def stop(self) -> None: ...


PROBLEMS = [BrokerAway("away."), BrokerRefused("WRONGTYPE."), StoreError("away."), Conflict("no."), KeyError("a bug")]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("where", ["join", "take", "deliver"])
async def test_what_fails_is_told_and_tried_again(problem: Exception, where: str) -> None:
    topic = Topic(problem if where == "take" else None)
    once = {"join", "deliver"} & {where}
    told: list[BaseException] = []

    async def join() -> Topic:
        if "join" in once:
            once.clear()
            raise problem
        return topic

    async def deliver(_: Incoming) -> None:
        if "deliver" in once:
            once.clear()
            raise problem

    intake = Intake(
        "src",
        join,
        deliver,
        batch=10,
        settled=lambda _: None,
        random=lambda: 0.0,
        trouble=lambda _, it: told.append(it),
    )
    await intake.start()
    try:
        async with asyncio.timeout(20):
            await topic.done.wait()
    finally:
        await intake.stop()
    assert told == [problem]
    assert topic.settled == ["t/0/1"]
