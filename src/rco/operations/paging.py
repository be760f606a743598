"""Work on many runs, a page at a time, as a run of the service's own: durable, paused, resumed and cancelled like any.

Each page is a step. One that is begun again after a crash finds what is left of it, or does again what has no further
effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from rco.engine.machine import Machine
from rco.engine.operation import Effect
from rco.engine.program import Program, StartBody
from rco.errors import Forbidden
from rco.kit.canonical import fingerprint
from rco.kit.clock import MICROS
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.effect import Answer, Attempt, EffectFailed, RetryPolicy
from rco.model.principal import Principal, Role
from rco.model.target import Repeat
from rco.operations.access import require
from rco.operations.desk import Desk

__all__ = ["AT_A_TIME", "Mandate", "Pace", "Pages", "page_answer", "page_size", "paged_program"]

PAGE = 200
PAGE_S = 1.0
"""How much of paced work is one step: as long it may take until a pause is heard."""
AT_A_TIME = 32
CATCH_UP_US = 100_000


class Pages(Protocol):
    """The steps. What each gives says where the next goes on; one with ``ended`` is the last."""

    async def begin(self, _: dict[str, Any]) -> Answer: ...

    async def page(self, before: dict[str, Any]) -> Answer: ...


def paged_program(name: str, told: Sequence[str], work: Callable[[bytes, StartBody], Pages]) -> Program:
    """The program of ``work(run_id, start)``; ``told`` of its last step is the run's result."""

    async def begin(machine: Machine, run_id: bytes, start: StartBody) -> Any:
        del machine
        pages = work(run_id, start)
        at = await _step("begin", pages.begin, {})
        page = 0
        while not at.get("ended"):
            page += 1
            at = await _step(f"page#{page}", pages.page, at)
        return {name: at[name] for name in told}

    return Program(name, "1", begin)


def _step(key: str, work: Callable[[dict[str, Any]], Awaitable[Answer]], at: dict[str, Any]) -> Effect[dict[str, Any]]:
    """``work`` goes on from ``at``, and may be done again."""

    def perform(_: Attempt) -> Awaitable[Answer]:
        return work(at)

    return Effect(key, fingerprint("bulk", key), key, perform, repeat=Repeat.KEYED, policy=RetryPolicy(20))


def page_answer(at: msgspec.Struct, *decisions: Decision) -> Answer:
    """What a step gives: how far it is, and what is to stand in the evidence with it."""
    return Answer(msgspec.to_builtins(at, builtin_types=(bytes,)), decisions)


def page_size(rate_per_s: float | None) -> int:
    """How many runs one step takes."""
    return PAGE if rate_per_s is None else max(1, min(PAGE, round(rate_per_s * PAGE_S)))


@dataclass(frozen=True, slots=True)
class Mandate:
    """On whose behalf the run works."""

    run_id: bytes
    actor: str
    corr_id: str

    @classmethod
    def of(cls, run_id: bytes, start: StartBody) -> Mandate:
        """The mandate that the run was started with."""
        return cls(run_id, start.get("actor") or "", start.get("corr_id") or "")

    async def principal(self, desk: Desk, namespace: str) -> Principal:
        """Who asked, with the grants of now: taken away, they stop the work, by ``EffectFailed``."""
        for principal in await desk.reader.principals():
            if f"principal:{principal.principal_id}" == self.actor:
                if principal.namespace != namespace:
                    break
                with suppress(Forbidden):
                    require(principal, Role.OPERATOR)
                    return principal
        raise EffectFailed(
            f"{self.actor} may not do this any more. Start it again as somebody who may.",
            kind="Forbidden",
            retryable=False,
        )

    def decision(self, desk: Desk, subject: str, reason: str, why: str, facts: dict[str, str | int | bool]) -> Decision:
        """That the work on ``subject`` began or ended (``reason``); ``why`` it was asked for."""
        return Decision(
            verb=Verb.BULK,
            at_us=desk.clock.now_us(),
            actor=self.actor,
            subject=subject,
            run=id_text(self.run_id),
            corr_id=self.corr_id,
            reason=f"{reason}: {why}" if why else reason,
            facts=facts,
        )


class Pace:
    """One slot after the other, at a rate. What was late is caught up with only a little, so nothing comes in a burst
    after a pause."""

    def __init__(self, desk: Desk, rate_per_s: float | None, due_us: int) -> None:
        self._clock, self._rate_per_s = desk.clock, rate_per_s
        self.due_us = due_us

    async def wait(self) -> None:
        """Returns when the next slot has come."""
        if self._rate_per_s is None:
            return
        now_us = self._clock.now_us()
        self.due_us = max(self.due_us, now_us - CATCH_UP_US) if self.due_us else now_us
        if self.due_us > now_us:
            await asyncio.sleep((self.due_us - now_us) / MICROS)
        self.due_us += round(MICROS / self._rate_per_s)
