"""Bodies of the control API, version 1: what travels between ``rco.server.api`` and ``rco.client``.

Times are RFC 3339 in UTC, durations milliseconds, identities the text of a UUID. A field may be added in a minor
version; a reader ignores fields that it does not know, the server refuses those it does not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rco.model.queue import FAIR_KEY_CHARS_MAX, PRIORITIES
from rco.model.wire_queues import QueueSeat

__all__ = [
    "Accepted",
    "BudgetView",
    "BulkAsk",
    "BulkError",
    "BulkPreview",
    "BulkView",
    "CancelAsk",
    "CapabilityView",
    "CheckAsk",
    "CloseAsk",
    "ClosureView",
    "EventBrief",
    "EventPage",
    "EventView",
    "ForkRun",
    "ForkedFrom",
    "HolderView",
    "KeyPage",
    "KeyView",
    "LetterPage",
    "LetterView",
    "LimitView",
    "MintAsk",
    "Minted",
    "NodeInfo",
    "OpenAsk",
    "Opened",
    "PauseAsk",
    "Problem",
    "RecentAudit",
    "RecordView",
    "Replayed",
    "RevocationPage",
    "RevocationView",
    "RevokeAsk",
    "RunBrief",
    "RunPage",
    "RunSelection",
    "RunView",
    "SettleAsk",
    "SignalAsk",
    "SinkView",
    "StartRun",
    "StartedRun",
    "State",
    "TailItem",
    "TailPage",
    "TargetPage",
    "TargetView",
    "TerminateAsk",
    "TimelineEntry",
]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(max_length=1000)]
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


class _Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body: unknown fields are refused."""


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """A response's body."""


class Problem(_View, frozen=True, kw_only=True):
    """Every answer that is not 2xx. ``reason`` is one of a closed set, ``error`` a sentence."""

    error: str
    reason: str
    corr_id: str


class StartRun(_Ask, frozen=True, kw_only=True):
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


class SignalAsk(_Ask, frozen=True, kw_only=True):
    """Send signal ``name``. A second one with the same ``message_id`` has no effect."""

    name: Name
    value: Any = None
    message_id: Name | None = None


class CancelAsk(_Ask, frozen=True, kw_only=True):
    """Cancel the run; its compensations run first. ``force`` closes it without running any of its code."""

    reason: Reason = ""
    force: bool = False


class TerminateAsk(_Ask, frozen=True, kw_only=True):
    """Close the run at once, without running any of its code: no compensation runs."""

    reason: Reason = ""


class ForkRun(_Ask, frozen=True, kw_only=True):
    """Fork the run at ``step``, or at the step that it failed at. A second one with the same ``key`` is the same run.

    ``undone``: also where compensations have undone what is copied."""

    step: Annotated[str, Meta(max_length=1000)] = ""
    key: Name | None = None
    reason: Reason = ""
    undone: bool = False


class RunSelection(_Ask, frozen=True, kw_only=True):
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


class BulkAsk(_Ask, frozen=True, kw_only=True):
    """Give one command to all selected runs, ``rate_per_s`` at most; stop when more than ``stop_after_failures`` could
    not take it. The same ``key`` is the same bulk.

    ``retry-step``: go on from the step that failed. ``terminate``: close without running any of its code."""

    action: Literal["retry", "retry-step", "cancel", "terminate", "pause", "resume"]
    where: RunSelection
    rate_per_s: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    stop_after_failures: Annotated[int, Meta(ge=0)] | None = None
    reason: Reason = ""
    key: Name | None = None


class PauseAsk(_Ask, frozen=True, kw_only=True):
    """Pause the run, or let it go on. A second one with the same ``message_id`` has no effect."""

    reason: Reason = ""
    message_id: Name | None = None


class SettleAsk(_Ask, frozen=True, kw_only=True):
    """Settle the step ``key`` that is in doubt: it was ``done`` (with ``value``), it ``failed``, or do it ``again``."""

    key: Annotated[str, Meta(min_length=1, max_length=1000)]
    verdict: Literal["done", "failed", "again"]
    value: Any = None
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    """How it is known, for the evidence."""


class Accepted(_View, frozen=True, kw_only=True):
    """The request is durable. ``accepted`` false: it was a repeat, and nothing was done."""

    accepted: bool
    run_id: str


class StartedRun(_View, frozen=True, kw_only=True):
    """The run that stands for the request. ``created`` false: it was there before."""

    id: str
    created: bool


class RunBrief(_View, frozen=True, kw_only=True):
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


class RunPage(_View, frozen=True, kw_only=True):
    """Runs, newest first. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[RunBrief]
    next: str | None = None


class TimelineEntry(_View, frozen=True, kw_only=True):
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


class ForkedFrom(_View, frozen=True, kw_only=True):
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


class BulkPreview(_View, frozen=True, kw_only=True):
    """How many runs were selected when it was asked, and the newest of them."""

    count: int
    sample: list[RunBrief]


class BulkError(_View, frozen=True, kw_only=True):
    """Why one run could not take the command."""

    run_id: str
    message: str


class BulkView(_View, frozen=True, kw_only=True):
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


class EventBrief(_View, frozen=True, kw_only=True):
    """One accepted event in a list: its CloudEvents attributes without its data."""

    id: str
    source: str
    type: str
    received_at: str
    time: str
    corr_id: str
    subject: str | None = None
    origin: str = ""


class EventPage(_View, frozen=True, kw_only=True):
    """Events, newest first."""

    items: list[EventBrief]
    next: str | None = None


class EventView(EventBrief, frozen=True, kw_only=True):
    """One event with its data, as it was verified."""

    data: Any = None


class LetterView(_View, frozen=True, kw_only=True):
    """One dead letter."""

    id: str
    subscription: str
    cause: str
    at: str
    event: EventBrief
    replayed_at: str | None = None


class LetterPage(_View, frozen=True, kw_only=True):
    """Dead letters, newest first."""

    items: list[LetterView]


class Replayed(_View, frozen=True, kw_only=True):
    """What a replay led to: how many runs it opened. 0: nobody wants the event, or all who do took it already."""

    opened: int


class TargetView(_View, frozen=True, kw_only=True):
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


class ClosureView(_View, frozen=True, kw_only=True):
    """What is closed: ``why`` is switch (an operator), pause (the target asked for it) or breaker."""

    scope: str
    why: Literal["switch", "pause", "breaker"]
    since: str
    until: str | None = None
    """``None``: until somebody opens it."""
    actor: str = ""
    reason: str = ""


class BudgetView(_View, frozen=True, kw_only=True):
    """A budget in its running period. ``given`` counts what all nodes have taken out of it, blocks that nodes hold
    included; ``here`` is what this node holds and has not used."""

    of: Literal["calls", "cost"]
    per: Literal["hour", "day", "month"]
    limit: int
    period: str = ""
    given: int = 0
    here: int = 0


class HolderView(_View, frozen=True, kw_only=True):
    """One node's part of a limit, as the store has it."""

    node: str
    leased: int
    wanted: int


class LimitView(_View, frozen=True, kw_only=True):
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


class CloseAsk(_Ask, frozen=True, kw_only=True):
    """Close a target, its credential (``credential``, whatever target uses it), one namespace's part of it, or, with
    ``*`` for the target, a namespace at every target."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    namespace: Annotated[str, Meta(max_length=200)] = ""
    credential: bool = False
    for_ms: Annotated[int, Meta(ge=1, le=366 * 86_400_000)] | None = None
    """It opens by itself after so long."""


class OpenAsk(_Ask, frozen=True, kw_only=True):
    """Open again what was closed, named in the same way. A pause that the target asked for ends too."""

    reason: Annotated[str, Meta(max_length=1000)] = ""
    namespace: Annotated[str, Meta(max_length=200)] = ""
    credential: bool = False


class Opened(_View, frozen=True, kw_only=True):
    """What was closed until now; ``None`` when nothing was."""

    was: ClosureView | None


class TargetPage(_View, frozen=True, kw_only=True):
    """Every declared target, by name."""

    items: list[TargetView]


class NodeInfo(_View, frozen=True, kw_only=True):
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


Scope = Annotated[str, Meta(min_length=1, max_length=1000)]


class MintAsk(_Ask, frozen=True, kw_only=True):
    """Mint a capability for ``scopes`` that ends in ``ttl_ms``. ``corr_id`` and ``body`` bind it to one request: to
    that correlation id, and to a body with that address (``b3:`` and 64 hexadecimal digits)."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=64)]
    ttl_ms: Annotated[int, Meta(ge=1000, le=30 * 86_400_000)] = 60_000
    corr_id: Annotated[str, Meta(max_length=64)] = ""
    body: Annotated[str, Meta(max_length=67)] = ""


class Minted(_View, frozen=True, kw_only=True):
    """A new capability. ``token`` is a secret, shown this once and kept nowhere."""

    token: str
    id: str
    kid: str
    expires_at: str


class CheckAsk(_Ask, frozen=True, kw_only=True):
    """Ask about a token. ``scope``: whether it covers this action, such as ``run:start:fulfil``."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]
    scope: Annotated[str, Meta(max_length=1000)] = ""


class CapabilityView(_View, frozen=True, kw_only=True):
    """What a token says, and what this node says of it. ``good`` false: ``reason`` tells why."""

    id: str
    kid: str
    caveats: list[str]
    good: bool
    reason: str = ""


class RevokeAsk(_Ask, frozen=True, kw_only=True):
    """Revoke by ``kind``: the capability with the id ``name``, all under the key ``name``, or (``epoch``) all that
    there are in the namespace ``name``. What runs hold is revoked with it."""

    kind: Literal["id", "kid", "epoch"]
    name: Name
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class RevocationView(_View, frozen=True, kw_only=True):
    """One revocation. ``epoch`` is the namespace's new one, else 0."""

    seq: int
    kind: Literal["id", "kid", "epoch"]
    name: str
    epoch: int
    at: str
    actor: str
    reason: str


class RevocationPage(_View, frozen=True, kw_only=True):
    """Revocations, oldest first. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[RevocationView]
    next: int | None = None


class KeyView(_View, frozen=True, kw_only=True):
    """One root key without its secret. ``state``: waiting, minting, accepting, retired or revoked."""

    kid: str
    version: int
    state: Literal["waiting", "minting", "accepting", "retired", "revoked"]
    created_at: str
    mint_from: str
    accept_until: str | None = None


class KeyPage(_View, frozen=True, kw_only=True):
    """Every root key of the node that answers, newest first."""

    items: list[KeyView]


class RecordView(_View, frozen=True, kw_only=True):
    """One decision as the sink ``memory`` has it. ``n``, ``prev`` and ``hash`` are its place in that sink's chain."""

    n: int
    prev: str
    hash: str
    decision: dict[str, Any]


class SinkView(_View, frozen=True, kw_only=True):
    """One sink of this node. ``dropped``: lost because its queue was full; ``waiting``: not written yet. ``n`` and
    ``head``: number and hash of its last record."""

    sink: str
    written: int
    dropped: int
    waiting: int
    n: int
    head: str


class RecentAudit(_View, frozen=True, kw_only=True):
    """The newest decisions of the node that answers, newest first. ``displaced``: how many the ring no longer has."""

    items: list[RecordView]
    displaced: int
    sinks: list[SinkView]


class TailItem(_View, frozen=True, kw_only=True):
    """One decision as an event. ``chain`` and ``n`` say where it stands in the evidence."""

    type: str
    at: str
    chain: str
    n: int
    decision: dict[str, Any]


class TailPage(_View, frozen=True, kw_only=True):
    """Decisions in the order of their time. ``next`` is what comes after them; ``whole``: there was nothing more."""

    items: list[TailItem]
    next: str
    whole: bool
