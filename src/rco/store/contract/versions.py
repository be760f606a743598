"""Versions of the application as a keeper knows them: what code each stands for, and which node has which."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["NodeVersion", "OpenRuns", "Pins", "Versions"]

Pins = frozenset[str]
"""Pins (``rco.model.version``) of the runs that a node can drive; runs without a pin go anywhere."""


class NodeVersion(msgspec.Struct, frozen=True):
    """``node`` has ``version`` in its pool; an empty one: it takes every run. ``current``: new runs begin with it
    there. ``alive``: its heartbeat counts, or there are no heartbeats and it was the last to start."""

    node: str
    version: str
    current: bool
    alive: bool


class OpenRuns(msgspec.Struct, frozen=True):
    """How many open runs are pinned to ``version`` (its name)."""

    version: str
    count: int


class Versions(Protocol):
    """Names here are without the sign of a pin."""

    async def announce(self, node: str, versions: dict[str, str], current: str, at_us: int) -> dict[str, str]:
        """Write down that ``node`` has ``versions``, each with the digest of its code, and no others; ``{}``: that it
        takes every run. Idempotent.

        A name stands for the code it was first announced with for as long as an open run is pinned to it. Returns those
        that stand for other code, with that code's digest; when there is one, nothing was written.
        """
        ...

    async def version_nodes(self) -> list[NodeVersion]:
        """Who has which, by version and node; of nodes that have ended as well."""
        ...

    async def known_versions(self) -> dict[str, str]:
        """Every version that was ever announced, with the digest of its code."""
        ...

    async def count_versions(self, namespace: str | None) -> list[OpenRuns]:
        """Open runs by the version they are pinned to, of one namespace or of all. A look at each open run."""
        ...
