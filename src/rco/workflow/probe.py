"""Declaring a probe: how to ask the other side whether a step that is in doubt was done.

::

    async def was_paid(order: str) -> Applied | NotApplied:
        found = await bank.find(reference=order)
        return Applied(found.id) if found else NotApplied()

    await ctx.step(pay, order, once=True, probe=Probe(was_paid, order))
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from rco.errors import Misuse
from rco.expr.jq import Expression
from rco.model.effect import Answer, Attempt, EffectFailed
from rco.model.probe import Applied, NotApplied, Probing
from rco.model.target import CallRequest
from rco.workflow.calls import Caller
from rco.workflow.conversion import plain

__all__ = ["CallProbe", "Probe"]


class Probe:
    """Ask by ``function(*arguments)``, async or blocking: it tells ``Applied(value)``, ``NotApplied()``, or ``None``
    when it cannot tell yet. ``rco.workflow.attempt()`` gives it the idempotency key of the step in doubt.

    ``grace_s``: how long a request may still be on its way; before, ``NotApplied`` is not believed. ``absent``: what is
    done when nothing had been done: ``again`` (the default), or ``failed``. It is asked ``attempts`` times, ever less
    often; then a person must settle it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        grace_s: float = 10.0,
        absent: Literal["again", "failed"] = "again",
        attempts: int = 12,
    ) -> None:
        self._function, self._arguments = function, arguments
        self._rest = _rest(grace_s, absent, attempts)

    def probing(self, enter: Callable[[Attempt], None]) -> Probing:
        """As the engine knows it. ``enter`` makes ``attempt()`` work in the function."""

        async def ask(attempt: Attempt) -> Answer:
            enter(attempt)
            if inspect.iscoroutinefunction(self._function):
                told: Any = await self._function(*self._arguments)
            else:
                told = await asyncio.to_thread(self._function, *self._arguments)
            if isinstance(told, Applied):
                return Answer(Applied(plain(told.value)))
            if told is not None and not isinstance(told, NotApplied):
                raise TypeError(f"the probe gave {type(told).__name__}, not Applied, NotApplied or None")
            return Answer(told)

        return Probing(ask, *self._rest)


class CallProbe:
    """Ask the same target by ``GET path``, under its rules. ``applied``: a jq expression over the body that holds when
    it was done; ``value``: one for what the step is worth then, as the body of an answer. A 404 means that it was not
    done.
    """

    def __init__(
        self,
        path: str,
        *,
        applied: str = ".",
        value: str = ".",
        query: dict[str, str] | None = None,
        grace_s: float = 10.0,
        absent: Literal["again", "failed"] = "again",
        attempts: int = 12,
    ) -> None:
        self._path, self._query = path, query or {}
        self._applied, self._value = Expression.compile(applied), Expression.compile(value)
        self._rest = _rest(grace_s, absent, attempts)

    def probing(self, caller: Caller, target: str) -> Probing:
        """As the engine knows it, for a call to ``target``."""
        return Probing(partial(self._ask, caller, target), *self._rest)

    async def _ask(self, caller: Caller, target: str, attempt: Attempt) -> Answer:
        request = CallRequest(target=target, method="GET", path=self._path, query=self._query)
        try:
            answer = await caller.attempt(request, attempt)
        except EffectFailed as problem:
            if isinstance(problem.data, dict) and problem.data.get("status") == 404:
                return Answer(NotApplied(), problem.decisions)
            raise
        body = answer.value["body"]
        if not self._applied.truthy(body):
            return Answer(NotApplied(), answer.decisions)
        return Answer(Applied({**answer.value, "body": self._value.first(body)}), answer.decisions)


def _rest(grace_s: float, absent: str, attempts: int) -> tuple[Any, ...]:
    if not 0 <= grace_s <= 86_400 or attempts < 1 or absent not in ("again", "failed"):
        raise Misuse(
            f"a probe with grace_s={grace_s!r}, absent={absent!r}, attempts={attempts!r}.",
            cure="grace_s is 0 to 86400, absent 'again' or 'failed', attempts at least 1.",
        )
    return float(grace_s), absent, attempts
