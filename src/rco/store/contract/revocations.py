"""Revocations: a table that only grows, in an order that every node reads the same way.

The numbers are given under a lock that is held until the commit: who has read number 7 will never find a 6 that was
committed later. Numbers may be missing; none comes twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = ["Revocation", "RevocationPage", "Revocations", "RevokedKind"]


class RevokedKind(StrEnum):
    """By what capabilities are revoked."""

    ID = "id"
    """One capability, with all that were made from it."""
    KID = "kid"
    """All that were minted under one root key."""
    EPOCH = "epoch"
    """All of a namespace that there are."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is the capability's id, the kid or the namespace. ``epoch`` is the namespace's new one, else 0."""

    seq: int = 0
    kind: RevokedKind
    name: str
    epoch: int = 0
    at_us: int
    actor: str
    reason: str = ""


class RevocationPage(msgspec.Struct, frozen=True):
    """One snapshot: the newest number there is (0: none) and the entries behind the asked one, in order."""

    head: int
    entries: list[Revocation]


class Revocations(Protocol):
    async def revoke(self, entry: Revocation) -> Revocation:
        """Write ``entry`` down durably and give it as it stands, with its number and, for a namespace, its new epoch.
        Idempotent for ids and kids: a second call gives the first entry. Each call for a namespace raises its epoch by
        one, except that two at the same moment may share one raise."""
        ...

    async def revocations(self, after: int, limit: int) -> RevocationPage:
        """At most ``limit`` entries with numbers above ``after``."""
        ...
