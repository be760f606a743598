"""Services that runs call: they honour idempotency keys, and have every trouble that such services have.

A ledger keeps what was sent and what was done. ``Upstream.send`` is one attempt over a network; ``ModelCaller`` puts it
behind ``ctx.call``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from rco.kit.backoff import Backoff
from rco.model.effect import Answer, Attempt, EffectFailed, RetryPolicy
from rco.model.target import CallRequest, Repeat, TargetProbe
from rco.testing.limited import Limited
from rco.testing.loop import VirtualLoop
from rco.testing.plan import Plan

__all__ = ["Done", "ModelCaller", "Sent", "Upstream"]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A request that left a node. Times are the world's, but ``wall_us`` is what the node's own clock said."""

    at_s: float
    wall_us: int
    node: str
    run_id: bytes
    step: str
    key: str
    attempt: int
    what: str
    order: str
    durable: int
    """How many records of the run the database held at that moment."""
    owner: str
    """Who owned the run's shard in the database at that moment."""
    known: bool
    """Whether the database knew the run."""
    version: str
    """What the run was pinned to; empty when the database did not know it."""
    target: str = ""
    """The target that it was a call to; empty for steps."""
    began_s: float
    """When the attempt began; it may have waited for a limit since."""
    ended_s: list[float] = msgspec.field(default_factory=list)
    """When the node had its answer, or had waited for long enough."""


class Done(msgspec.Struct, frozen=True):
    """An effect that happened, under the key that it was asked for with (``""``: without one)."""

    at_s: float
    key: str
    what: str
    order: str
    run_id: bytes
    step: str


class Upstream:
    """All services together. ``witness`` fills in what the database held when a request was sent."""

    def __init__(
        self, loop: VirtualLoop, plan: Plan, random: Random, witness: Callable[[Attempt], tuple[int, str, bool, str]]
    ) -> None:
        self._loop, self._plan, self._random, self._witness = loop, plan, random, witness
        self._actor = loop.actor("upstream")
        self.calm = False
        self.sent: list[Sent] = []
        self.done: list[Done] = []
        self._answers: dict[str, dict[str, Any]] = {}

    @property
    def now_s(self) -> float:
        """The world's time."""
        return self._loop.world.now_s

    def _happens(self, chance: float) -> bool:
        return not self.calm and chance > 0 and self._random.random() < chance

    def _latency_s(self) -> float:
        low, high = self._plan.upstream_s
        return low + (high - low) * self._random.random()

    async def send(
        self, attempt: Attempt, what: str, order: str, *, keyed: bool, target: str = "", began_s: float | None = None
    ) -> dict[str, Any]:
        """Ask for ``what`` to be done about ``order``. Raises ``EffectFailed`` for all that can go wrong."""
        loop, plan, actor = self._loop, self._plan, self._loop.current()
        durable, owner, known, version = self._witness(attempt)
        key = attempt.idempotency_key
        sent = Sent(
            at_s=loop.world.now_s,
            wall_us=actor.clock.now_us(),
            node=actor.name,
            run_id=attempt.run_id,
            step=attempt.key,
            key=key,
            attempt=attempt.number,
            what=what,
            order=order,
            durable=durable,
            owner=owner,
            known=known,
            version=version,
            target=target,
            began_s=loop.world.now_s if began_s is None else began_s,
        )
        self.sent.append(sent)
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        if not self._happens(plan.lose_before):
            delay_s = self._latency_s()
            if self._happens(plan.slow):
                delay_s = plan.upstream_timeout_s * (0.5 + self._random.random())
            ask = (actor, future, attempt, what, order, key if keyed else "")
            loop.post_later(self._actor, delay_s, self._arrived, *ask)
            if keyed and self._happens(plan.repeat):
                loop.post_later(self._actor, delay_s + self._latency_s(), self._arrived, *ask)
        try:
            async with asyncio.timeout(plan.upstream_timeout_s):
                answer = await future
        except TimeoutError:
            raise EffectFailed(
                f"no answer within {plan.upstream_timeout_s:g} s", kind="Timeout", code="call_failed", ambiguous=True
            ) from None
        finally:
            sent.ended_s.append(loop.world.now_s)
        status = answer["status"]
        if status == 200:
            return answer
        raise EffectFailed(
            f"answered {status}",
            kind=f"Status{status}",
            code="call_failed",
            retry_after_s=answer.get("retry_after_s"),
            data={"status": status},
        )

    def _arrived(
        self, actor: Any, future: asyncio.Future[dict[str, Any]], attempt: Attempt, what: str, order: str, key: str
    ) -> None:
        if self._happens(self._plan.refuse):
            answer: dict[str, Any] = {"status": 503}
        elif self._happens(self._plan.limit):
            answer = {"status": 429, "retry_after_s": round(self._random.random() * 2, 3)}
        elif key and key in self._answers:
            answer = self._answers[key]
        else:
            number = len(self.done)
            self.done.append(Done(self._loop.world.now_s, key, what, order, attempt.run_id, attempt.key))
            answer = {"status": 200, "number": number, "what": what, "order": order}
            if key:
                self._answers[key] = answer
            if self._happens(self._plan.lose_after):
                return
        self._loop.post_later(actor, self._latency_s(), _answer, future, answer)


def _answer(future: asyncio.Future[dict[str, Any]], answer: dict[str, Any]) -> None:
    if not future.done():
        future.set_result(answer)


class ModelCaller:
    """Implements ``rco.workflow.calls.Caller`` on an upstream: ``POST /what`` with the order as body.

    Target ``keyed`` drops repeats by key; target ``once`` does not, so its calls are never repeated silently. What has
    limits passes ``limited`` first.
    """

    def __init__(self, upstream: Upstream, limited: Limited | None = None) -> None:
        self._upstream, self._limited = upstream, limited

    def repeat_class(self, request: CallRequest) -> Repeat:
        return Repeat.NEVER if request.target == "once" else Repeat.KEYED

    def probe(self, request: CallRequest) -> TargetProbe | None:  # noqa: ARG002 - there is none
        return None

    def retry_policy(self, request: CallRequest) -> RetryPolicy:  # noqa: ARG002 - the same for all
        return RetryPolicy(40, Backoff(first_s=0.05, cap_s=1.0))

    def fallback(self, request: CallRequest) -> dict[str, Any] | None:  # noqa: ARG002 - there is none
        return None

    async def attempt(self, request: CallRequest, attempt: Attempt) -> Answer:
        what, order = request.path.strip("/"), str(request.json)
        keyed = request.target != "once"
        began_s = self._upstream.now_s
        passage = None if self._limited is None else await self._limited.passage(request.target)
        try:
            answer = await self._upstream.send(
                attempt, what, order, keyed=keyed, target=request.target, began_s=began_s
            )
        finally:
            if passage is not None:
                passage.leave()
        return Answer({"status": 200, "headers": {}, "body": answer})
