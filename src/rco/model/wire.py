"""Bodies of the control API, version 1: what travels between ``rco.server.api`` and ``rco.client``.

Times are RFC 3339 in UTC, durations milliseconds, identities the text of a UUID. A field may be added in a minor
version; a reader ignores fields that it does not know, the server refuses those it does not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from rco.model.body import Ask, Name, Reason, View
from rco.model.queue import FAIR_KEY_CHARS_MAX, PRIORITIES
from rco.model.wire_queues import QueueSeat

__all__ = [
    "Accepted",
    "CancelAsk",
    "ForkRun",
    "ForkedFrom",
    "NodeInfo",
    "PauseAsk",
    "Problem",
    "RunBrief",
    "RunPage",
    "RunSelection",
    "RunView",
    "SettleAsk",
    "SignalAsk",
    "StartRun",
    "StartedRun",
    "State",
    "TerminateAsk",
    "TimelineEntry",
]

State = Literal[
    "running",
    "waiting",
    "blocked",
    "in_doubt",
    "paused",
    "queued",
    "completed",
    "failed",
    "cancelled",
    "terminated",
]
"""Where a run is. The first six are open, the last four closed."""


class Problem(View, frozen=True, kw_only=True):
    """Every answer that is not 2xx. ``reason`` is one of a closed set, ``error`` a sentence."""

    error: str
    reason: str
    corr_id: str


class StartRun(Ask, frozen=True, kw_only=True):
    """Start ``workflow`` with ``input``. The same ``key`` with the same request is the same run."""

    workflow: Name
    input: Any = None
    key: Name | None = None
    attributes: Annotated[dict[str, str | bool | int | float], Meta(max_length=32)] = {}
    """What the run is found by: texts, numbers, true or false."""
    queue: Annotated[str, Meta(max_length=63)] = ""
    """The queue to wait in; empty: the workflow's own, if it has one."""
    fair_key: Annotated[str, Meta(max_length=FAIR_KEY_CHARS_MAX)] = ""
    """Whose turn it takes in the queue, such as a customer's name."""
    priority: Annotated[int, Meta(ge=0, lt=PRIORITIES)] | None = None
    """0 goes first, 9 last; null: the queue's own."""


class SignalAsk(Ask, frozen=True, kw_only=True):
    """Send signal ``name``. A second one with the same ``message_id`` has no effect."""

    name: Name
    value: Any = None
    message_id: Name | None = None


class CancelAsk(Ask, frozen=True, kw_only=True):
    """Cancel the run; its compensations run first. ``force`` closes it without running any of its code."""

    reason: Reason = ""
    force: bool = False


class TerminateAsk(Ask, frozen=True, kw_only=True):
    """Close the run at once, without running any of its code: no compensation runs."""

    reason: Reason = ""


class ForkRun(Ask, frozen=True, kw_only=True):
    """Fork the run at ``step``, or at the step that it failed at. A second one with the same ``key`` is the same run.

    ``undone``: also where compensations have undone what is copied."""

    step: Annotated[str, Meta(max_length=1000)] = ""
    key: Name | None = None
    reason: Reason = ""
    undone: bool = False


class RunSelection(Ask, frozen=True, kw_only=True):
    """Which runs: all that is given must hold. Times are RFC 3339; ``opened_before`` itself is not within.

    ``code``: of the error it closed with, or the cause for which it is blocked, in doubt or paused. ``text``: stands in
    its error or result, its key or its correlation id."""

    state: State
    workflow: Name | None = None
    corr_id: Name | None = None
    opened_after: str | None = None
    opened_before: str | None = None
    code: Name | None = None
    text: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    attributes: Annotated[list[Annotated[str, Meta(max_length=400)]], Meta(max_length=8)] = []
    """Each must hold: `customer=c-7`, `amount>=100`."""


class PauseAsk(Ask, frozen=True, kw_only=True):
    """Pause the run, or let it go on. A second one with the same ``message_id`` has no effect."""

    reason: Reason = ""
    message_id: Name | None = None


class SettleAsk(Ask, frozen=True, kw_only=True):
    """Settle the step ``key`` that is in doubt: it was ``done`` (with ``value``), it ``failed``, or do it ``again``."""

    key: Annotated[str, Meta(min_length=1, max_length=1000)]
    verdict: Literal["done", "failed", "again"]
    value: Any = None
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    """How it is known, for the evidence."""


class Accepted(View, frozen=True, kw_only=True):
    """The request is durable. ``accepted`` false: it was a repeat, and nothing was done."""

    accepted: bool
    run_id: str


class StartedRun(View, frozen=True, kw_only=True):
    """The run that stands for the request. ``created`` false: it was there before."""

    id: str
    created: bool


class RunBrief(View, frozen=True, kw_only=True):
    """One run in a list."""

    id: str
    workflow: str
    version: str
    state: State
    opened_at: str
    closed_at: str | None = None
    key: str | None = None
    parent: str | None = None
    corr_id: str = ""
    namespace: str = "default"
    attributes: dict[str, Any] = {}
    """What it is found by."""


class RunPage(View, frozen=True, kw_only=True):
    """Runs, newest first. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[RunBrief]
    next: str | None = None


class TimelineEntry(View, frozen=True, kw_only=True):
    """One thing that a run did or waits for, made from its journal. Holds no inputs, results or payloads.

    ``kind``: start, step, timer, wait, child, emit, state, cancel, pause, resume, patch, version, compensate,
    settle, owner or close. ``outcome``: done, failed, waiting, retrying, in_doubt, timed_out, or how the run closed.
    ``duration_ms`` of a step counts from when its branch last moved on.
    """

    at: str
    kind: str
    outcome: str
    key: str = ""
    attempts: int = 0
    duration_ms: float | None = None
    note: str = ""


class ForkedFrom(View, frozen=True, kw_only=True):
    """Of which run a fork is one, and at which step. ``copied``: how many journal records it has from there."""

    run_id: str
    step: str
    copied: int


class RunView(RunBrief, frozen=True, kw_only=True):
    """One run with everything that may be shown of it. ``error`` says why it failed, is blocked or in doubt."""

    result: Any = None
    error: dict[str, Any] | None = None
    forked_from: ForkedFrom | None = None
    forks: list[str] = []
    """Runs that were forked from this one."""
    queue: QueueSeat | None = None
    """Where it waits, or waited before it began."""
    timeline: list[TimelineEntry] = []
    timeline_cut: bool = False
    """Whether older or newer entries were left out because there are too many."""


class NodeInfo(View, frozen=True, kw_only=True):
    """What this node says of itself."""

    version: str
    node: str
    epoch: int
    namespace: str
    workflows: list[str]
    open_runs: dict[str, int]
    backlog: int
    draining: bool = False
    """It takes no new work; what is open goes on."""
