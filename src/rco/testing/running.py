"""Run one workflow from its start to its end, in memory and under virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rco.model.target import Target
from rco.testing.answers import Answers
from rco.testing.environment import Environment
from rco.testing.run import Run
from rco.testing.seen import Ended
from rco.workflow import Workflow
from rco.workflow.calls import Caller

__all__ = ["crash_everywhere", "run_workflow"]

WITHIN_S = 366 * 86400.0


def run_workflow(
    workflow: Workflow[Any, Any],
    input: Any = None,
    *,
    calls: Answers | Caller | None = None,
    steps: Mapping[str, Any] | None = None,
    signals: Iterable[tuple[float, str, Any]] = (),
    events: Iterable[tuple[float, str, str | None, Any]] = (),
    cancel_after_s: float | None = None,
    others: Iterable[Workflow[Any, Any]] = (),
    targets: Iterable[Target] = (),
    replay: bool = True,
    within_s: float = WITHIN_S,
    seed: int = 0,
) -> Ended:
    """Run ``workflow`` with ``input`` on the real engine, over a store in memory, and skip the time it waits.

    ``calls``, ``steps``, ``targets``, ``replay`` and ``seed`` are those of ``Environment``. An ``EffectFailed`` as an
    answer is what egress would report; any other exception fails the step. ``signals``: (after seconds, name, value).
    ``events``: (after seconds, type, subject, data). ``cancel_after_s``: when to cancel the run. ``others``: workflows
    it opens as children, or that its events start.

    Raises ``Misuse`` for a call that nothing answers, ``NotDeterministic`` where a replay differs from the run, and
    ``TimeoutError`` when the run has not ended ``within_s`` virtual seconds, with what it waits for. Nothing of it
    remains afterwards; each call is a world of its own.
    """
    with Environment(
        workflow, *others, calls=calls, steps=steps, targets=targets, replay=replay, seed=seed
    ) as environment:
        return _run(environment, workflow, input, _plan(signals, events, cancel_after_s), within_s)


def crash_everywhere(
    workflow: Workflow[Any, Any],
    input: Any = None,
    *,
    signals: Iterable[tuple[float, str, Any]] = (),
    events: Iterable[tuple[float, str, str | None, Any]] = (),
    cancel_after_s: float | None = None,
    others: Iterable[Workflow[Any, Any]] = (),
    within_s: float = WITHIN_S,
    **options: Any,
) -> list[Ended]:
    """``run_workflow`` once undisturbed and then once for every crash there can be: ``kill -9`` before and after each
    transaction. Every run must end like the first one, or it raises ``AssertionError`` with where the node died.

    Gives all of them, the undisturbed one first, so that a test can say what else must hold of each: that no effect
    happened twice, for example. A run that is *in doubt* raises: this is for workflows that go on by themselves.
    """
    plan, others = _plan(signals, events, cancel_after_s), list(others)

    def once(number: int, durable: bool) -> tuple[Ended, int]:
        with Environment(workflow, *others, **options) as environment:
            if number:
                environment.kill_at(number, durable=durable)
            return _run(environment, workflow, input, plan, within_s), environment.commits

    first, commits = once(0, False)
    all_of_them = [first]
    for number in range(2, commits + 1):
        for durable in (False, True):
            where = f"killed {'after' if durable else 'before'} transaction {number} of {commits}"
            try:
                ended, _ = once(number, durable)
            except (AssertionError, TimeoutError) as problem:
                raise AssertionError(f"{where}: {problem}") from problem
            if (ended.outcome, ended.value) != (first.outcome, first.value):
                raise AssertionError(
                    f"{where}, {workflow.name} is {ended.outcome} with {ended.value!r}; "
                    f"undisturbed it is {first.outcome} with {first.value!r}."
                )
            all_of_them.append(ended)
    return all_of_them


Act = Callable[[Environment, Run], Any]


def _plan(
    signals: Iterable[tuple[float, str, Any]],
    events: Iterable[tuple[float, str, str | None, Any]],
    cancel_after_s: float | None,
) -> list[tuple[float, Act]]:
    """What comes from outside, by its time."""
    plan: list[tuple[float, Act]] = [(after_s, _signal(name, value)) for after_s, name, value in signals]
    plan += [(after_s, _event(type, subject, data)) for after_s, type, subject, data in events]
    if cancel_after_s is not None:
        plan.append((cancel_after_s, lambda _, run: run.cancel()))
    return sorted(plan, key=lambda one: one[0])


def _signal(name: str, value: Any) -> Act:
    return lambda _, run: run.signal(name, value)


def _event(type: str, subject: str | None, data: Any) -> Act:
    return lambda environment, _: environment.event(type, data, subject=subject)


def _run(
    environment: Environment, workflow: Workflow[Any, Any], input: Any, plan: list[tuple[float, Act]], within_s: float
) -> Ended:
    run = environment.start(workflow, input)
    for after_s, act in plan:
        if after_s >= within_s:
            break
        environment.advance_to(after_s)
        if not run.open:
            break
        act(environment, run)
    return run.ended(within_s - environment.now_s)
