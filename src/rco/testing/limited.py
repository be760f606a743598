"""Limits in a simulated world: the same limits, leaser and ledger that egress has, before calls to model services."""

from __future__ import annotations

from collections.abc import Callable

from rco.egress.limits import Crowded
from rco.egress.passage import Passage
from rco.egress.scopes import Scopes
from rco.egress.sharing import Sharing
from rco.kit.clock import Clock
from rco.model.effect import EffectFailed
from rco.model.target import Budget, Target
from rco.store.contract.limit_states import LimitStates
from rco.testing.plan import Plan

__all__ = ["KEYED", "METERED", "Limited"]

KEYED, METERED = "keyed", "metered"
"""The target with rate and concurrency, and the one with a budget, which fails when that is spent."""


class Limited:
    """One node's side of the limits of a world. A ``Lives``."""

    def __init__(
        self,
        plan: Plan,
        store: LimitStates,
        holder: str,
        clock: Clock,
        random: Callable[[], float],
        *,
        may_send: Callable[[], bool],
        leased: bool,
    ) -> None:
        self._clock, self._wait_s, self._may_send = clock, plan.upstream_timeout_s, may_send
        self._sharing = Sharing(store, holder, clock, leased=leased, random=random)
        self._scopes = Scopes(clock, self._sharing.leaser, leased=leased)
        targets = [
            Target(
                name=KEYED,
                base_url="",
                allow=[],
                timeout_s=plan.upstream_timeout_s,
                rate_per_s=plan.limit_rate,
                burst=plan.limit_burst,
                concurrency=plan.limit_concurrency,
            ),
            Target(
                name=METERED,
                base_url="",
                allow=[],
                timeout_s=plan.upstream_timeout_s,
                budgets=[Budget(per="hour", calls=plan.limit_budget)],
                when_closed="fail",
            ),
        ]
        self._scopes.declare(targets, {})
        self._limits = {target.name: (self._scopes.of_target(target),) for target in targets}

    async def start(self) -> None:
        await self._sharing.start()

    async def stop(self) -> None:
        await self._sharing.stop()

    async def passage(self, target: str) -> Passage | None:
        """What a call to ``target`` holds while it is under way; ``None`` where there are no limits. Raises
        ``EffectFailed`` for what has to wait or to fail, as egress does."""
        limits = self._limits.get(target)
        if limits is None:
            return None
        until = self._clock.monotonic() + self._wait_s
        passage = Passage(limits, 1)
        if not passage.slip_in():
            why = await passage.enter(until, "")
            if why is not None:
                raise _refused(why, fail=target == METERED)
        if not self._may_send():
            passage.leave(unused=True)
            raise EffectFailed("lease_ran_out", kind="CallRefused", code="call_refused")
        if not passage.good(self._clock):
            passage.leave(unused=True)
            raise _refused(Crowded("permit_ran_out", 0.0), fail=False)
        return passage


def _refused(why: Crowded, *, fail: bool) -> EffectFailed:
    fail = fail and why.reason == "budget_spent"
    return EffectFailed(
        why.reason,
        kind="TargetUnavailable",
        code="call_refused",
        retryable=not fail,
        waits=not fail,
        retry_after_s=why.retry_after_s,
    )
