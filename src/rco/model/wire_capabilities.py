"""Bodies of the control API about capabilities, revocations and keys; see ``rco.model.wire``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from rco.model.body import Ask, Name, View

__all__ = [
    "CapabilityView",
    "CheckAsk",
    "KeyPage",
    "KeyView",
    "MintAsk",
    "Minted",
    "RevocationPage",
    "RevocationView",
    "RevokeAsk",
]

Scope = Annotated[str, Meta(min_length=1, max_length=1000)]


class MintAsk(Ask, frozen=True, kw_only=True):
    """Mint a capability for ``scopes`` that ends in ``ttl_ms``. ``corr_id`` and ``body`` bind it to one request: to
    that correlation id, and to a body with that address (``b3:`` and 64 hexadecimal digits)."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=64)]
    ttl_ms: Annotated[int, Meta(ge=1000, le=30 * 86_400_000)] = 60_000
    corr_id: Annotated[str, Meta(max_length=64)] = ""
    body: Annotated[str, Meta(max_length=67)] = ""


class Minted(View, frozen=True, kw_only=True):
    """A new capability. ``token`` is a secret, shown this once and kept nowhere."""

    token: str
    id: str
    kid: str
    expires_at: str


class CheckAsk(Ask, frozen=True, kw_only=True):
    """Ask about a token. ``scope``: whether it covers this action, such as ``run:start:fulfil``."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]
    scope: Annotated[str, Meta(max_length=1000)] = ""


class CapabilityView(View, frozen=True, kw_only=True):
    """What a token says, and what this node says of it. ``good`` false: ``reason`` tells why."""

    id: str
    kid: str
    caveats: list[str]
    good: bool
    reason: str = ""


class RevokeAsk(Ask, frozen=True, kw_only=True):
    """Revoke by ``kind``: the capability with the id ``name``, all under the key ``name``, or (``epoch``) all that
    there are in the namespace ``name``. What runs hold is revoked with it."""

    kind: Literal["id", "kid", "epoch"]
    name: Name
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class RevocationView(View, frozen=True, kw_only=True):
    """One revocation. ``epoch`` is the namespace's new one, else 0."""

    seq: int
    kind: Literal["id", "kid", "epoch"]
    name: str
    epoch: int
    at: str
    actor: str
    reason: str


class RevocationPage(View, frozen=True, kw_only=True):
    """Revocations, oldest first. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[RevocationView]
    next: int | None = None


class KeyView(View, frozen=True, kw_only=True):
    """One root key without its secret. ``state``: waiting, minting, accepting, retired or revoked."""

    kid: str
    version: int
    state: Literal["waiting", "minting", "accepting", "retired", "revoked"]
    created_at: str
    mint_from: str
    accept_until: str | None = None


class KeyPage(View, frozen=True, kw_only=True):
    """Every root key of the node that answers, newest first."""

    items: list[KeyView]
