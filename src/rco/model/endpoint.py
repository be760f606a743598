"""An endpoint: an address of somebody else's, to which events of a namespace are sent as signed webhooks."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

__all__ = ["DELIVER", "Endpoint", "EndpointState", "SigningSecret"]

DELIVER = "rco.deliver"
"""The service's own workflow of which every delivery is a run."""


class EndpointState(StrEnum):
    """Whether events are sent there. Of a deleted one the identity alone stays, so that every node hears of it."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class SigningSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret that deliveries are signed with, and how it is kept: ``sealed``, or elsewhere by ``reference``."""

    secret_id: str
    kind: Literal["v1", "v1a"]
    """Of Standard Webhooks: v1 is HMAC-SHA256, v1a is Ed25519."""
    sealed: bytes = b""
    """Encrypted under ``webhooks.key``."""
    reference: str = ""
    """``env:NAME`` or ``file:/path``."""
    public: str = ""
    """Of v1a: ``whpk_...``, which receivers verify with."""
    made_us: int
    expires_us: int | None = None
    """It signs until then; ``None``: until it is rotated."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """``types`` are patterns of event types as in subscriptions: an exact text, or a prefix followed by ``*``."""

    endpoint_id: str
    namespace: str
    version: int = 1
    """Each change makes the next."""
    url: str
    types: tuple[str, ...]
    secrets: tuple[SigningSecret, ...] = ()
    state: EndpointState = EndpointState.ENABLED
    cause: str = ""
    """Why it is disabled: ``gone`` (it answered 410), ``failing``, or what an operator said."""
    since_us: int
    """Since when it is in this state."""
    disabled_by: str = ""
    """The run or the principal that disabled it."""
    failing_since_us: int | None = None
    """When the first of the attempts failed since which none succeeded."""
    order_by: str | None = None
    """A jq expression over the event: deliveries with the same value go one after the other."""
    rate_per_s: float | None = None
    """Requests a second at most, over all nodes; ``None``: what is set for all endpoints."""
    burst: int | None = None
    """So many may go at once; ``None``: one second's worth, at least 1."""
    note: str = ""
    created_us: int
