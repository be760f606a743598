"""Who owned what, and when: read off the links, which say under which leases they were written."""

from __future__ import annotations

import uuid
from bisect import bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from rco.verify.lines import Link, Node

__all__ = ["Owners", "Span", "Tenure", "node_of", "pool_of", "shard_of"]

SLACK_US = 30_000_000
"""So long after its last link a node may still have had calls under way."""
_FOREVER_US = 1 << 62


@dataclass(frozen=True)
class Tenure:
    """A node's time with a shard: epochs of one shard only rise. ``pool`` is the version whose runs have this shard;
    empty: it is of no pool."""

    node: str
    epoch: int
    since_us: int
    pool: str = ""


@dataclass(frozen=True)
class Span:
    """From the beginning of one node's life to that of the next: ``together`` nodes lived in it at most."""

    begin_us: int
    together: int


def node_of(chain: str, writer: str) -> str:
    """The node that wrote a link: a chain of several is named after its node."""
    return chain.rpartition("/")[0] if chain else writer


def pool_of(version: str) -> str:
    """The version whose pool a run is in when its row or its journal says so; empty: it is in none."""
    return version[1:] if version.startswith("@") else ""


def shard_of(run: str) -> int:
    """The last byte of a run's id. Raises ``ValueError`` for what is no id."""
    return uuid.UUID(run).bytes[15]


class Owners:
    """Takes nodes and links, then answers."""

    def __init__(self) -> None:
        self._wrote: dict[tuple[str, int], tuple[str, int]] = {}
        """Node and epoch by chain and link."""
        self._lives: dict[tuple[str, int], list[int]] = {}
        """Begin and end by node and epoch."""
        self._leases: dict[tuple[str, str, int], list[tuple[int, int, int]]] = defaultdict(list)
        """(n, epoch, since) by chain, pool and shard, as the chain tells them."""
        self._sole: set[tuple[str, int]] = set()
        self._owning: set[str] = set()
        self._spans: list[Span] | None = None

    def take_node(self, node: Node) -> None:
        self._live(node.name, node.epoch, node.started_us)

    def take_link(self, link: Link, decisions: list[dict[str, Any]]) -> None:
        node = node_of(link.chain, link.writer)
        self._wrote[link.chain, link.n] = node, link.epoch
        self._live(node, link.epoch, link.at_us)
        if not link.chain:
            self._sole.add((node, link.epoch))
            return
        for one in decisions:
            if one.get("verb") == "node" and one.get("reason") == "leases":
                self._owning.add(node)
                facts = one.get("facts") or {}
                for part in [*str(facts.get("leases", "")).split(), *str(facts.get("pools", "")).split()]:
                    pool, _, lease = part.rpartition("/")
                    shard, epoch, since_us = map(int, lease.split(":"))
                    self._leases[link.chain, pool, shard].append((link.n, epoch, since_us))

    def take_checkpoint(self, chain: str, n: int, leases: str) -> None:
        """What the links up to ``n``, which are gone, had said of leases."""
        for part in leases.split():
            pool, _, lease = part.rpartition("/")
            shard, epoch, since_us = map(int, lease.split(":"))
            insort(self._leases[chain, pool, shard], (n, epoch, since_us))
            self._owning.add(node_of(chain, ""))

    def _live(self, node: str, epoch: int, at_us: int) -> None:
        life = self._lives.setdefault((node, epoch), [at_us, at_us])
        life[:] = min(life[0], at_us), max(life[1], at_us)

    def knows(self, chain: str, n: int) -> bool:
        """Whether there is such a link."""
        return (chain, n) in self._wrote

    def tenure(self, chain: str, n: int, run: str, pool: str = "") -> Tenure | None:
        """Under which lease of the run's shard a link was written; ``None`` when the chain does not say. A run of a
        version was written under leases that are in no pool before there were any."""
        wrote = self._wrote.get((chain, n))
        if wrote is None:
            return None
        node, epoch = wrote
        if not chain:
            return Tenure(node, epoch, self._lives[node, epoch][0])
        for of in dict.fromkeys((pool, "")):
            told = self._leases.get((chain, of, shard_of(run)), ())
            place = bisect_right(told, (n, _FOREVER_US, _FOREVER_US))
            if place:
                return Tenure(node, *told[place - 1][1:], of)
        return None

    def last_since_us(self, run: str, pool: str = "") -> int:
        """When the run's shard was last taken over; 0 when nothing says."""
        if self._sole:
            return max(self._lives[key][0] for key in self._sole)
        shard = shard_of(run)
        pools = (pool, "")
        fit = [told for (_, of, one), told in self._leases.items() if one == shard and of in pools]
        return max((told[-1][2] for told in fit), default=0)

    @property
    def spans(self) -> list[Span]:
        """The time of the deployment, cut where a node began."""
        if self._spans is None:
            lives = [
                (begin, end + SLACK_US)
                for key, (begin, end) in self._lives.items()
                if key in self._sole or key[0] in self._owning
            ]
            begins = sorted({begin for begin, _ in lives})
            ends = [*begins[1:], _FOREVER_US][: len(begins)]
            self._spans = [
                # One owner of one file ends where the next begins, whatever it had under way.
                Span(begin, 1 if self._sole else sum(one < end and until >= begin for one, until in lives))
                for begin, end in zip(begins, ends, strict=True)
            ]
        return self._spans

    def span(self, at_us: int) -> Span:
        """The one that a moment falls into."""
        place = bisect_right([span.begin_us for span in self.spans], at_us)
        return self.spans[place - 1] if place else Span(0, 1)
