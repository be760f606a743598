"""What can be set about outgoing webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from rco.egress.addresses import parse_networks

__all__ = ["WebhookOptions", "faults"]

_Days = Annotated[float, Meta(ge=60, le=90 * 86_400)]


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How webhooks are sent to endpoints. Changes with a restart."""

    key: str = ""
    """What signing secrets are encrypted under in the store: `env:NAME` or `file:/path` of 64 hexadecimal digits. Every
    node needs the same. Empty: with SQLite a key that is made in `data_dir`; with PostgreSQL endpoints then need
    secrets by reference."""
    allow_private: list[str] = []
    """Networks (CIDR) that endpoints may be in although they are private or loopback."""
    allow_http: bool = False
    """Whether endpoints may be reached without TLS."""
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 15.0
    """An endpoint must have answered within it."""
    retry_s: list[Annotated[float, Meta(gt=0, le=7 * 86_400)]] = msgspec.field(
        default_factory=lambda: [5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0]
    )
    """The waits between attempts: one attempt more than there are waits."""
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Each wait is longer by up to this share of it, at random."""
    grace_s: Annotated[float, Meta(ge=0, le=7 * 86_400)] = 86_400.0
    """After a rotation the secret before signs as well for this long, unless the rotation says otherwise."""
    disable_after_s: _Days = 5 * 86_400.0
    """An endpoint at which every attempt failed for this long is disabled."""
    endpoint_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Requests under way at one endpoint from one node."""
    endpoint_rate_per_s: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    """Requests a second at one endpoint that has no rate of its own, over all nodes. Empty: as many as come."""
    lanes: Annotated[int, Meta(ge=1, le=10_000)] = 256
    """Endpoints whose connections one node keeps; beyond them those of the one used longest ago are closed."""
    endpoints_limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    """Endpoints that one namespace may have."""


def faults(options: WebhookOptions) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure."""
    if options.key and not options.key.startswith(("file:/", "env:")):
        yield "webhooks.key", "is no reference to a secret", "Write file:/path or env:NAME."
    try:
        parse_networks(options.allow_private)
    except ValueError as problem:
        yield "webhooks.allow_private", str(problem), "Write networks, as 10.0.0.0/8."
    if len(options.retry_s) > 50:
        yield "webhooks.retry", "has more than 50 waits", "Write fewer and longer ones."
