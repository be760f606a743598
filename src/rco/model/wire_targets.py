"""Bodies of the control API about targets and their limits; see ``rco.model.wire``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from rco.model.body import Ask, View

__all__ = [
    "BudgetView",
    "CloseAsk",
    "ClosureView",
    "HolderView",
    "LimitView",
    "OpenAsk",
    "Opened",
    "TargetPage",
    "TargetView",
]


class TargetView(View, frozen=True, kw_only=True):
    """One target and its state on the node that answers. ``breaker``: closed, open or half_open."""

    name: str
    base_url: str
    allow: list[str]
    breaker: str
    in_flight: int
    waiting: int
    concurrency: int
    rate_per_s: float | None
    calls: int
    outcomes: dict[str, int]
    closed_until: str | None = None
    fallback: bool = False
    when_closed: str = "wait"
    closed: list[ClosureView] = []
    """What closes it, or part of it, now."""
    limits: list[LimitView] = []
    """Its own limits first, then those beside them that its calls have needed on this node."""


class ClosureView(View, frozen=True, kw_only=True):
    """What is closed: ``why`` is switch (an operator), pause (the target asked for it) or breaker."""

    scope: str
    why: Literal["switch", "pause", "breaker"]
    since: str
    until: str | None = None
    """``None``: until somebody opens it."""
    actor: str = ""
    reason: str = ""


class BudgetView(View, frozen=True, kw_only=True):
    """A budget in its running period. ``given`` counts what all nodes have taken out of it, blocks that nodes hold
    included; ``here`` is what this node holds and has not used."""

    of: Literal["calls", "cost"]
    per: Literal["hour", "day", "month"]
    limit: int
    period: str = ""
    given: int = 0
    here: int = 0


class HolderView(View, frozen=True, kw_only=True):
    """One node's part of a limit, as the store has it."""

    node: str
    leased: int
    wanted: int


class LimitView(View, frozen=True, kw_only=True):
    """One limit. Over several nodes ``leased`` is how many permits this node holds of ``concurrency``."""

    scope: str
    rate_per_s: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    leased: int | None = None
    in_use: int
    waiting: int
    budgets: list[BudgetView] = []
    nodes: list[HolderView] = []
    """Every node's part. Only where one target is asked for."""


class CloseAsk(Ask, frozen=True, kw_only=True):
    """Close a target, its credential (``credential``, whatever target uses it), one namespace's part of it, or, with
    ``*`` for the target, a namespace at every target."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    namespace: Annotated[str, Meta(max_length=200)] = ""
    credential: bool = False
    for_ms: Annotated[int, Meta(ge=1, le=366 * 86_400_000)] | None = None
    """It opens by itself after so long."""


class OpenAsk(Ask, frozen=True, kw_only=True):
    """Open again what was closed, named in the same way. A pause that the target asked for ends too."""

    reason: Annotated[str, Meta(max_length=1000)] = ""
    namespace: Annotated[str, Meta(max_length=200)] = ""
    credential: bool = False


class Opened(View, frozen=True, kw_only=True):
    """What was closed until now; ``None`` when nothing was."""

    was: ClosureView | None


class TargetPage(View, frozen=True, kw_only=True):
    """Every declared target, by name."""

    items: list[TargetView]
