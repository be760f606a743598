"""Asking probes: a step that is in doubt and has a probe is settled by what the other side says."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from rco.engine.effects import Effects
from rco.engine.live import Live
from rco.engine.operation import Effect
from rco.engine.owner import Owner
from rco.kit.backoff import Backoff
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.effect import Attempt, EffectFailed
from rco.model.probe import Applied, NotApplied, Probing

__all__ = ["Probed", "Probes", "probed"]

T = TypeVar("T")
BACKOFF = Backoff(first_s=1.0, cap_s=60.0)
ASK_WITHIN_S = 30.0
ACTOR = "probe"


class Probed(Effect[T]):
    """An effect whose doubt a probe can settle."""

    __slots__ = ("asked", "doubted_s", "probing")
    probing: Probing
    asked: int
    doubted_s: float | None


def probed(op: Effect[T], probing: Probing) -> Probed[T]:
    """The same effect with a probe."""
    made: Probed[T] = Probed(
        op.key,
        op.fp,
        op.name,
        op.perform,
        repeat=op.repeat,
        policy=op.policy,
        timeout_s=op.timeout_s,
        fallback=op.fallback,
    )
    made.convert = op.convert
    made.probing, made.asked, made.doubted_s = probing, 0, None
    return made


class Probes:
    """Asks, settles, and gives up after a while."""

    def __init__(self, owner: Owner, effects: Effects, random: Any) -> None:
        self._owner, self._effects, self._random = owner, effects, random
        effects.on_doubt = self.doubted

    def doubted(self, live: Live, op: Effect[Any]) -> None:
        """``op`` came into doubt, or was loaded in doubt: ask soon. How long it lasts already is not known then, so it
        counts from now."""
        if type(op) is Probed and op.key not in live.tasks and op.key not in live.timers:
            op.doubted_s, op.asked = self._owner.clock.monotonic(), 0
            self._ask_in(live, op, 0.0)

    def _ask_in(self, live: Live, op: Probed[Any], delay_s: float) -> None:
        live.timers[op.key] = self._owner.loop.call_later(delay_s, self._begin, live, op)

    def _begin(self, live: Live, op: Probed[Any]) -> None:
        live.timers.pop(op.key, None)
        if self._waits(live, op) and self._owner.may_act(live, op):
            live.tasks[op.key] = self._owner.loop.create_task(self._ask(live, op))

    def _waits(self, live: Live, op: Probed[Any]) -> bool:
        return live.machine.pending.get(op.key) is op and op.doubt and not live.ending

    async def _ask(self, live: Live, op: Probed[Any]) -> None:
        attempt = Attempt(live.run_id, op.key, op.tried + 1, live.corr_id, live.span, live.namespace)
        trouble = "it cannot tell"
        told: Any = None
        decisions: tuple[Decision, ...] = ()
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                answer = await op.probing.ask(attempt)
            told, decisions = answer.value, answer.decisions
        except EffectFailed as problem:
            trouble, decisions = problem.message, problem.decisions
        except Exception as problem:  # noqa: BLE001 - an author's probe may raise anything; it is asked again
            trouble = f"{type(problem).__name__}: {problem}"
        live.tasks.pop(op.key, None)
        if not self._waits(live, op):
            return
        op.asked += 1
        if decisions:
            self._owner.changes(live.run_id, live.shard).decisions.extend(decisions)
        assert op.doubted_s is not None
        early_s = op.doubted_s + op.probing.grace_s - self._owner.clock.monotonic()
        if isinstance(told, Applied):
            self._settle(live, op, "done", told.value, "it was done")
        elif isinstance(told, NotApplied) and early_s <= 0:
            self._settle(live, op, op.probing.absent, None, "it was not done")
        elif op.asked >= op.probing.attempts:
            self._give_up(live, op, trouble)
        else:
            delay_s = BACKOFF.delay_s(op.asked, self._random)
            # Nothing is learned by asking often whether it is absent, but once more when that counts.
            self._ask_in(live, op, max(0.0, early_s) if isinstance(told, NotApplied) else delay_s)

    def _settle(self, live: Live, op: Probed[Any], verdict: str, value: Any, what: str) -> None:
        reason = f"{what}, says its probe"
        self._decide(live, op, reason, allow=True, verdict=verdict)
        self._effects.settle(live, op, verdict, value, reason, ACTOR)

    def _give_up(self, live: Live, op: Probed[Any], trouble: str) -> None:
        self._decide(live, op, f"its probe was asked {op.asked} times: {trouble}"[:500], allow=False, verdict="")

    def _decide(self, live: Live, op: Probed[Any], reason: str, *, allow: bool, verdict: str) -> None:
        now = self._owner.clock.now_us()
        self._owner.changes(live.run_id, live.shard).decisions.append(
            Decision(
                verb=Verb.SETTLE,
                at_us=now,
                allow=allow,
                actor=ACTOR,
                subject=live.workflow,
                run=id_text(live.run_id),
                corr_id=live.corr_id,
                reason=reason,
                facts={"step": op.key, "verdict": verdict, "asked": op.asked, "at": iso(now)},
            )
        )
