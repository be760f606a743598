"""What a sender is asked to send, and what it says of it. Passed as lines of JSON, one value a line."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["KINDS", "Came", "Load", "Said", "Second", "Way", "mixed"]

KINDS = ("get", "webhook", "put")
"""``GET /o/{address}``, ``POST /webhooks/{provider}``, ``POST /put``."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where the requests go, and what they are made with. Holds secrets: it travels by standard input alone."""

    url: str
    provider: str
    secret: str
    """``whsec_...``: the requests are signed as Standard Webhooks v1."""
    prefix: str
    """Keeps the identities of this sender apart from those of others."""
    token: str = ""
    """A capability with ``write:put``. Empty: nothing can be put."""
    event_type: str = "drill.order"
    body_bytes: int = 1024
    connections: int = 256
    """The most that are open at a time."""
    patience_s: float = 10.0
    """A request without an answer for so long is given up."""
    primed: int = 20
    """Contents that are put before anything else, so that there is something to get."""
    record: str = ""
    """A file for one line a request."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send from now on: ``rate_per_s`` requests, of each kind its share. Rates and shares may be 0."""

    phase: str
    """The name under which what comes of it is counted."""
    rate_per_s: float = 0.0
    get: Share = 0.5
    webhook: Share = 0.3
    put: Share = 0.2
    late: Share = 0.0
    """Of the webhooks, those of senders whose clock is ``skew_s`` behind."""
    ahead: Share = 0.0
    """And before the time."""
    skew_s: float = 600.0
    stop: bool = False
    """Wait for the answers that are due, then end."""


def mixed(phase: str, rate_per_s: float) -> Load:
    """The mix of the reference load: half of it reads, three in ten webhooks, the rest puts."""
    return Load(phase=phase, rate_per_s=rate_per_s)


class Second(msgspec.Struct, kw_only=True):
    """What came in one second, of one kind. Answers by status; 0 stands for none at all."""

    statuses: dict[str, int] = {}
    reasons: dict[str, int] = {}
    p95_ms: float = 0.0
    most_ms: float = 0.0


class Came(msgspec.Struct, kw_only=True):
    """What came of all requests of one kind in one phase."""

    phase: str
    kind: str
    asked: int = 0
    unsent: int = 0
    """Due, and never sent: more waited for a connection than the sender holds."""
    statuses: dict[str, int] = {}
    reasons: dict[str, int] = {}
    """Of refusals; ``no_answer``, ``no_connection`` and ``wrong_bytes`` are the sender's own."""
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    most_ms: float = 0.0

    @property
    def good(self) -> int:
        """Answers that were what was asked for."""
        return sum(count for status, count in self.statuses.items() if 200 <= int(status) < 400)


class Said(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the sender."""

    ready: bool = False
    at_s: float = 0.0
    """Since it was ready, by its own monotonic clock."""
    phase: str = ""
    kinds: dict[str, Second] = {}
    """One second, by kind."""
    ended: bool = False
    came: list[Came] = []
    """At the end: everything, by phase and kind, and with the kind ``all`` each phase as a whole."""
    cpu_s: float = 0.0
    wrong: str = ""
    """Why it ended, when that was not asked for."""
