"""Where retention cut the chains, as later links say."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.verify.lines import Link
from rco.verify.owners import Owners

__all__ = ["Checkpoints"]


class _Said(msgspec.Struct, frozen=True):
    last: int
    hash: str


class Checkpoints:
    """Takes decisions and the first link of each chain, then answers."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._said: dict[str, list[_Said]] = {}
        self._first: dict[str, Link] = {}
        self.links = 0
        """How many links were removed, as far as what is left says."""
        self.until_us = 0
        """What was decided up to then may be gone, and runs that began before it may have had a part of it."""

    def take_link(self, link: Link) -> None:
        self._first.setdefault(link.chain, link)

    def take(self, decision: dict[str, Any]) -> None:
        """One that is not in its form says nothing."""
        facts = decision.get("facts")
        if decision.get("verb") != "checkpoint" or not isinstance(facts, dict):
            return
        try:
            self._take(facts)
        except (TypeError, ValueError):
            return

    def _take(self, facts: dict[str, Any]) -> None:
        chain, last = str(facts.get("chain", "")), int(facts.get("last", 0))
        self._said.setdefault(chain, []).append(_Said(last, str(facts.get("hash", ""))))
        self.links += int(facts.get("links", 0))
        self.until_us = max(self.until_us, int(facts.get("until_us", 0)))
        self._owners.take_checkpoint(chain, last, str(facts.get("leases", "")))

    def unexplained(self) -> list[str]:
        """Chains whose beginning is missing without a checkpoint that fits what is left."""
        return [
            f"the chain{f' {chain}' if chain else ''} begins at link {link.n}, and no checkpoint says that what stood "
            "before it was removed"
            for chain, link in sorted(self._first.items())
            if link.n > 1 and _Said(link.n - 1, link.prev) not in self._said.get(chain, ())
        ]
