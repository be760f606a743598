"""Whether the limits of calls make sense."""

from __future__ import annotations

from collections.abc import Callable

from rco.config.settings import Settings
from rco.model.target import Budget, CallLimits

__all__ = ["limits_of_calls"]

Report = Callable[[str, str, str], object]


def limits_of_calls(settings: Settings, report: Report) -> None:
    """Report (key, what is wrong, cure) for budgets, for limits by namespace and by credential."""
    of_credential: dict[str, tuple[str, CallLimits]] = {}
    for name, target in settings.targets.items():
        key = f"targets.{name}"
        _budgets(target.budgets, key, report)
        if target.per_namespace is not None:
            _limits(target.per_namespace, f"{key}.per_namespace", report)
        for index, rule in enumerate(target.allow):
            if not 0 <= rule.cost <= 1_000_000:
                report(f"{key}.allow[{index}].cost", f"must be between 0 and 1000000, is {rule.cost}", "")
        credential = target.credential
        if credential is None or credential.limits is None:
            continue
        _limits(credential.limits, f"{key}.credential.limits", report)
        other, limits = of_credential.setdefault(credential.secret, (name, credential.limits))
        if limits != credential.limits:
            report(
                f"{key}.credential.limits",
                f"differs from what targets.{other} says of the same credential",
                "Say the same at both; they share it.",
            )
    seen: set[str] = set()
    for index, one in enumerate(settings.namespace_limits):
        key = f"namespace_limits[{index}]"
        if not one.namespace or one.namespace in seen:
            report(f"{key}.namespace", f"{one.namespace!r} is empty or named twice", "Name each namespace once, or *.")
        seen.add(one.namespace)
        _limits(one, key, report)


def _limits(limits: CallLimits, key: str, report: Report) -> None:
    if limits.rate_per_s is not None and not 0 < limits.rate_per_s <= 1_000_000:
        report(f"{key}.rate_per_s", f"must be above 0 and at most 1000000, is {limits.rate_per_s}", "")
    if limits.burst is not None and (limits.rate_per_s is None or limits.burst < 1):
        report(f"{key}.burst", "needs rate_per_s beside it and must be at least 1", "")
    if limits.concurrency is not None and not 1 <= limits.concurrency <= 10_000:
        report(f"{key}.concurrency", f"must be between 1 and 10000, is {limits.concurrency}", "")
    _budgets(limits.budgets, key, report)


def _budgets(budgets: list[Budget], key: str, report: Report) -> None:
    seen: set[tuple[bool, str]] = set()
    for index, budget in enumerate(budgets):
        where = f"{key}.budgets[{index}]"
        if (budget.calls is None) == (budget.cost is None):
            report(where, "needs either calls or cost", "Write e.g. {calls: 10000, per: day}.")
        elif (budget.calls if budget.calls is not None else budget.cost or 0) < 1:
            report(where, "must be at least 1", "")
        kind = (budget.calls is None, budget.per)
        if kind in seen:
            report(where, f"is a second budget of the same kind per {budget.per}", "Keep one of them.")
        seen.add(kind)
