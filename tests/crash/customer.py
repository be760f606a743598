"""The client: asks, keeps a log of what it was told, and asks again with the same key until it gets an answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from standardwebhooks import Webhook
from tests.crash.door import Busy, Door, Said, Unknown
from tests.crash.world import SECRET, World

__all__ = ["FLOWS", "Asked", "Customer"]

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """One request and what came of it.

    ``outcome``: ``acknowledged``, ``refused`` (with the error's code in ``answer``), ``unknown`` (no answer came).
    ``name`` is the start key, the message id or the delivery id: the same in every attempt.
    """

    kind: str
    name: str
    outcome: str
    order: str
    workflow: str = ""
    run_id: str = ""
    answer: Any = None


class Customer:
    """Runs flows against a world. Every flow is about one order of its own and ends when all it asked is answered."""

    def __init__(self, world: World, seed: int, prefix: str) -> None:
        self._world, self._random, self._prefix = world, random.Random(seed), prefix
        self.log: list[Asked] = []
        self._count = 0
        self._flows: set[asyncio.Task[None]] = set()

    def begin(self, flow: str) -> None:
        """Start a flow of this name in the background."""
        self._count += 1
        name = f"{self._prefix}-{self._count}"
        task = asyncio.create_task(FLOWS[flow](self, name))
        self._flows.add(task)

    def begin_some(self) -> None:
        """Start a flow chosen by the seed."""
        self.begin(self._random.choice(list(FLOWS)))

    @property
    def under_way(self) -> int:
        return sum(not task.done() for task in self._flows)

    async def finish(self) -> None:
        """Wait until every flow has its answers."""
        await asyncio.gather(*self._flows)

    def stop(self) -> None:
        for task in self._flows:
            task.cancel()

    def write(self, path: Path) -> None:
        """The log as JSON lines, for a person."""
        path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in self.log))

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _until_answered(
        self, asked: Asked, ask: Callable[[Door], Awaitable[T]], told: Callable[[T], Asked]
    ) -> T | Said:
        """Ask until there is an answer; every attempt is a line in the log."""
        while True:
            door = await self._world.door()
            try:
                answer = await ask(door)
            except Busy:
                await asyncio.sleep(0.02)
            except Unknown:
                self.log.append(asked)
                await asyncio.sleep(0.005)
            except Said as said:
                self.log.append(_with(asked, outcome="refused", answer=said.code))
                return said
            else:
                self.log.append(told(answer))
                return answer

    async def start(self, workflow: str, order: str, **given: Any) -> str:
        key = f"{workflow}:{order}"
        asked = Asked("start", key, "unknown", order, workflow)
        answer = await self._until_answered(
            asked,
            lambda door: door.start(workflow, {"order": order, **given}, key),
            lambda told: _with(asked, outcome="acknowledged", run_id=told[0], answer=told[1]),
        )
        if isinstance(answer, Said):
            raise AssertionError(f"start {key} was refused: {answer}")
        return answer[0]

    async def signal(self, run_id: str, order: str, name: str, value: Any, message_id: str) -> None:
        asked = Asked("signal", message_id, "unknown", order, run_id=run_id)
        await self._until_answered(
            asked,
            lambda door: door.signal(run_id, name, value, message_id),
            lambda accepted: _with(asked, outcome="acknowledged", answer=accepted),
        )

    async def cancel(self, run_id: str, order: str) -> None:
        asked = Asked("cancel", f"cancel:{order}", "unknown", order, run_id=run_id)
        await self._until_answered(
            asked, lambda door: door.cancel(run_id), lambda _: _with(asked, outcome="acknowledged")
        )

    async def deliver(self, order: str, delivery: str) -> None:
        asked = Asked("deliver", delivery, "unknown", order, "fulfil")
        body = json.dumps({"type": "order.created", "timestamp": "2026-11-21T10:00:00Z", "data": {"order": order}})

        def ask(door: Door) -> Awaitable[tuple[int, dict[str, Any]]]:
            now = datetime.now(UTC)
            headers = {
                "webhook-id": delivery,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(SECRET).sign(delivery, now, body),
                "content-type": "application/json",
            }
            return door.deliver(headers, body)

        def told(answer: tuple[int, dict[str, Any]]) -> Asked:
            status, said = answer
            return _with(asked, outcome="acknowledged" if status == 202 else "refused", answer=said)

        await self._until_answered(asked, ask, told)

    # -- flows -----------------------------------------------------------------------------------------------------

    async def webhook(self, order: str) -> None:
        await self.deliver(order, f"msg_{order}")
        if self._random.random() < 0.3:
            await self.deliver(order, f"msg_{order}")

    async def order(self, order: str) -> None:
        await self.start("order", order)
        if self._random.random() < 0.2:
            await self.start("order", order)

    async def gate(self, order: str) -> None:
        count = 3
        run_id = await self.start("gate", order, count=count)

        async def send(at: int) -> None:
            await asyncio.sleep(self._random.random() * 0.15)
            await self.signal(run_id, order, "go", at, f"go:{order}:{at}")
            # Once more, when it is taken perhaps and the run perhaps closed.
            await asyncio.sleep(self._random.random() * 0.1)
            await self.signal(run_id, order, "go", at, f"go:{order}:{at}")

        await asyncio.gather(*(send(at) for at in range(count)))

    async def stopped(self, order: str) -> None:
        run_id = await self.start("stopped", order)
        await asyncio.sleep(self._random.random() * 0.1)
        await self.cancel(run_id, order)

    async def nap(self, order: str) -> None:
        await self.start("nap", order, seconds=0.3 + 0.4 * self._random.random())

    async def fan(self, order: str) -> None:
        await self.start("fan", order)

    async def flaky(self, order: str) -> None:
        await self.start("flaky", order)

    async def refused(self, order: str) -> None:
        await self.start("refused", order)

    async def parent(self, order: str) -> None:
        await self.start("parent", order)


FLOWS: dict[str, Callable[[Customer, str], Coroutine[Any, Any, None]]] = {
    "webhook": Customer.webhook,
    "order": Customer.order,
    "gate": Customer.gate,
    "stopped": Customer.stopped,
    "nap": Customer.nap,
    "fan": Customer.fan,
    "flaky": Customer.flaky,
    "refused": Customer.refused,
    "parent": Customer.parent,
}


def _with(asked: Asked, **changed: Any) -> Asked:
    return Asked(**{**asdict(asked), **changed})
