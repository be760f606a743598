"""Bodies of the control API about commands to many runs; see ``rco.model.wire``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from rco.model.body import Ask, Name, Reason, View
from rco.model.wire import RunBrief, RunSelection, State

__all__ = ["BulkAsk", "BulkError", "BulkPreview", "BulkView"]


class BulkAsk(Ask, frozen=True, kw_only=True):
    """Give one command to all selected runs, ``rate_per_s`` at most; stop when more than ``stop_after_failures`` could
    not take it. The same ``key`` is the same bulk.

    ``retry-step``: go on from the step that failed. ``terminate``: close without running any of its code."""

    action: Literal["retry", "retry-step", "cancel", "terminate", "pause", "resume"]
    where: RunSelection
    rate_per_s: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    stop_after_failures: Annotated[int, Meta(ge=0)] | None = None
    reason: Reason = ""
    key: Name | None = None


class BulkPreview(View, frozen=True, kw_only=True):
    """How many runs were selected when it was asked, and the newest of them."""

    count: int
    sample: list[RunBrief]


class BulkError(View, frozen=True, kw_only=True):
    """Why one run could not take the command."""

    run_id: str
    message: str


class BulkView(View, frozen=True, kw_only=True):
    """How far a bulk is. ``state`` is that of its run; ``count`` is null before it has counted. ``ended``: ``done``, or
    why it stopped; empty while it goes on. ``errors``: of the first that failed."""

    id: str
    action: str
    state: State
    count: int | None
    done: int
    failed: int
    ended: str
    errors: list[BulkError]
    opened_at: str
    closed_at: str | None = None
    error: dict[str, Any] | None = None
