"""A delivery: a request whose origin is proven, with what makes it unique."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.model.event import Event

__all__ = ["Delivery", "Receipt"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's verifier hands over. Nothing of it is authority inside; it is evidence."""

    provider: str
    event: Event
    claim: bytes
    """32-byte digest that is the same for every repeat of this delivery and for nothing else."""
    claim_ttl_s: float
    """For how long a repeat must be recognised: the provider's retry horizon."""
    secret_id: str
    """Which of the active secrets matched."""
    sig_alg: str
    b3: str
    """Content address of the body."""
    data_b3: str = ""
    """Content address of the event's data, where it is known: they are the body itself."""
    value: Any = None
    """What the event's data say, decoded; ``None``: not known. Read only, as is all that is in it."""
    latency: str = ""
    """How long it took from the first byte to the decision, as a bucket (``rco.kit.latency``)."""


class Receipt(msgspec.Struct, frozen=True):
    """What the sender is told. ``corr_id`` is that of the first delivery when this one is a duplicate."""

    duplicate: bool
    corr_id: str
