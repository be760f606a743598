"""The desk: what every operation works with, wired once by ``rco.app`` and passed first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rco.audit.trail import Trail
from rco.egress.client import Egress
from rco.encryption.keys import Keys
from rco.engine.engine import Engine
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.decision import Decision
from rco.operations.clearance import OPEN, Clearance
from rco.operations.spaces import Spaces
from rco.queues.dispatcher import Dispatcher
from rco.scheduler.quota import Quota
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Writer
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics
from rco.telemetry.tracer import Tracer
from rco.webhooks.hooks import Hooks

__all__ = ["Desk"]


def _leave_open() -> None:
    """There is no other door."""


def _untraced() -> Tracer:
    return Tracer(Ids())


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything an operation may reach, and nothing else.

    It is a value: a configuration change makes a new desk (``dataclasses.replace``), it never edits one.
    """

    engine: Engine
    scheduler: Scheduler
    quota: Quota
    dispatcher: Dispatcher
    writer: Writer
    reader: Reader
    router: Any
    """``rco.router.table.RoutingTable``: which subscriptions match an event."""
    targets: Egress
    clock: Clock
    ids: Ids
    metrics: Metrics
    log: Log
    namespace: str = "default"
    retention: Any = None
    """``rco.operations.retention.Retention``: drops what is over its time."""
    payload_gc: Any = None
    """``rco.operations.payload_gc.PayloadGc``; ``None`` where no payload is kept by reference."""
    spaces: Spaces | None = None
    """Which namespaces there are; ``None`` where nobody bounds them."""
    clearance: Clearance = OPEN
    """Who gets which rights."""
    namespace_keys: Keys | None = None
    """The keys that payloads are encrypted with; ``None`` where they are not."""
    webhooks: Hooks | None = None
    """Endpoints of outgoing webhooks; ``None`` where none are sent."""
    key_lead_s: float = 5.0
    """How long before it encrypts a namespace's next key is made."""
    shut: Callable[[], None] = _leave_open
    """Closes the doors for new work that are not the engine's: the ingress."""
    forget_tokens: Callable[[], None] = _leave_open
    """Called when a token was taken away: this node looks every token up again."""
    trail: Trail | None = None
    """The sinks of decisions besides the store; ``None`` where there are none."""
    tracer: Tracer = field(default_factory=_untraced)
    """Gives what comes in its place in a trace."""
    info: Mapping[str, str] = field(default_factory=dict)
    """What this node says of itself: ``node``, ``version``, ``epoch``."""

    def note(self, decision: Decision) -> None:
        """Record a decision that nobody waits for, in every sink. Over a bound the oldest is dropped and counted."""
        (self.writer if self.trail is None else self.trail).note(decision)
