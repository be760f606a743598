"""Keys of namespaces: what their payloads are encrypted with, itself encrypted under a root key that is not here.

Every change takes a new number, under a lock that is held until the commit: who has read number 7 will never find a 6
that was committed later, so a node that asks for what is behind the last number it knows misses nothing.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["NamespaceKey", "NamespaceKeyPage", "NamespaceKeys"]


class NamespaceKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a namespace. ``wrapped`` is empty once it is erased; the rest stays, as evidence that it was."""

    key_id: bytes
    """16 random bytes; each ciphertext names the key that made it."""
    namespace: str
    version: int
    root_kid: str
    """Under which root key it is wrapped."""
    wrapped: bytes
    made_us: int
    from_us: int
    """It encrypts from then on: late enough that every node has read it before one uses it."""
    actor: str
    reason: str
    erased_us: int | None = None
    erased_by: str = ""
    erased_why: str = ""
    seq: int = 0
    """The number of its last change."""


class NamespaceKeyPage(msgspec.Struct, frozen=True):
    """One snapshot: the newest number there is (0: none), and the keys that changed behind the asked one, in order."""

    head: int
    keys: list[NamespaceKey]


class NamespaceKeys(Protocol):
    async def add_namespace_key(self, key: NamespaceKey) -> None:
        """Durable when this returns. Raises ``Conflict`` when the namespace has a key of this version."""
        ...

    async def rewrap_namespace_key(self, key_id: bytes, root_kid: str, wrapped: bytes) -> None:
        """The same key, wrapped under another root. Of one that is erased nothing is changed."""
        ...

    async def erase_namespace_keys(self, namespace: str, at_us: int, by: str, why: str) -> int:
        """Take the wrapped keys of ``namespace`` away, all there are; returns how many. When this returns it is
        durable, and what stood there is overwritten where this keeper can see to it. A second call finds none."""
        ...

    async def namespace_keys(self, after: int, limit: int) -> NamespaceKeyPage: ...
