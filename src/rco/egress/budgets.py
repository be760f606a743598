"""A node's part of a budget: what it has leased of the running period and not yet used."""

from __future__ import annotations

from rco.kit.clock import Clock
from rco.model.target import Budget

__all__ = ["BudgetShare", "budget_key"]


def budget_key(budget: Budget) -> str:
    """Names a budget within its scope."""
    return f"{'calls' if budget.calls is not None else 'cost'}/{budget.per}"


class BudgetShare:
    """Nothing may be taken that was not leased. Times are the clock's monotonic seconds."""

    __slots__ = ("_clock", "back", "budget", "empty_until_s", "key", "left", "limit", "period", "taken", "until_s")

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self.budget, self._clock = budget, clock
        self.key = budget_key(budget)
        self.limit: int = budget.calls if budget.calls is not None else budget.cost or 0
        self.left = 0
        """Leased and not used."""
        self.back = 0
        """No longer used here, and not yet given back."""
        self.period = ""
        self.until_s = 0.0
        """When the period that ``left`` belongs to ends."""
        self.empty_until_s = 0.0
        """Nothing is left of the budget on any node until then."""
        self.taken = 0
        """Used here, ever: what demand is reckoned from."""

    def costs(self, cost: int) -> int:
        return 1 if self.budget.calls is not None else cost

    def has(self, cost: int) -> bool:
        return self.costs(cost) <= self.left and self._clock.monotonic() < self.until_s

    def empty_s(self, cost: int) -> float:
        """How long a call of this cost has to wait for the next period; 0: it may be that it need not."""
        if self.costs(cost) > self.limit:
            return float("inf")
        return max(0.0, self.empty_until_s - self._clock.monotonic())

    def take(self, cost: int) -> None:
        cost = self.costs(cost)
        self.left -= cost
        self.taken += cost

    def give_back(self, cost: int) -> None:
        """What was taken in the running period was not used."""
        self.left += self.costs(cost)
        self.taken -= self.costs(cost)
