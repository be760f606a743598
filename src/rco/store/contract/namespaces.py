"""Namespaces as a keeper sees them: rows that say what the door asks, and what was counted."""

from __future__ import annotations

from typing import Protocol

from rco.model.namespace import NamespaceRow, Usage

__all__ = ["RECOUNT_EVERY_US", "Namespaces"]

RECOUNT_EVERY_US = 100_000
"""A namespace that is full is counted again at most this often: until then it stays full."""


class Namespaces(Protocol):
    async def namespaces(self) -> list[NamespaceRow]:
        """All there are, by name; ``default`` is always there."""
        ...

    async def namespace_usage(self, name: str) -> Usage:
        """What there is of it, counted now. A look at its open runs and, where ``stored_bytes`` is bounded and not
        known, at all that it keeps."""
        ...

    async def put_namespace(self, row: NamespaceRow, expect: int | None) -> bool:
        """Put it in (``expect`` is ``None``), or change it if its revision is still ``expect``. False when it is not
        so. What was counted is counted anew by the next admission."""
        ...

    async def recount_namespaces(self, names: list[str]) -> None:
        """Count anew at the next admission: others may have admitted without counting, or something was dropped."""
        ...
