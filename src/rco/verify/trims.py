"""What retention removed, as the chain says: so much may be missing, and nothing else."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

import msgspec

__all__ = ["Trims", "began_at_us"]

_chains = msgspec.json.Decoder(list[tuple[str, int, int]]).decode


class Trims:
    """Takes decisions, then answers."""

    def __init__(self) -> None:
        self.segments: dict[str, int] = defaultdict(int)
        """By chain, how many segments were removed at most."""
        self.last_n: dict[str, int] = defaultdict(int)
        """By chain, the last link that a removed segment was of."""
        self._ranges: list[tuple[int, int]] = []

    def take(self, decision: dict[str, Any]) -> None:
        if decision.get("verb") != "trim":
            return
        facts = decision.get("facts") or {}
        self._ranges.append((int(facts.get("from_us", 0)), int(facts.get("until_us", 0))))
        for chain, segments, last_n in _chains(str(facts.get("chains", "[]"))):
            self.segments[chain] += segments
            self.last_n[chain] = max(self.last_n[chain], last_n)

    def covers(self, run: str) -> bool:
        """Whether the run began in a time that was removed: its id begins with it (RFC 9562, version 7)."""
        at_us = began_at_us(run)
        return at_us is not None and any(begin <= at_us < end for begin, end in self._ranges)


def began_at_us(run: str) -> int | None:
    """When a run began, by its id; ``None`` for what is no id."""
    try:
        return int.from_bytes(uuid.UUID(run).bytes[:6], "big") * 1000
    except ValueError:
        return None
