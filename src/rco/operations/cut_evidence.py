"""Cut evidence: the oldest links of the audit chains go when their time is over, and what is left says so.

They go in whole segments, each checked before it goes, and only where nothing that is kept needs them. The commit that
removes a segment seals a *checkpoint*: up to which link the chain was cut, and that link's hash, which the next one
carries. So what is left verifies offline from there on, and a beginning that nobody cut by these rules shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from rco.audit.link import GENESIS, link_hash
from rco.errors import EvidenceBroken
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.model.retention import RetentionOptions
from rco.operations.desk import Desk
from rco.store.contract.retaining import Record, Removed, Retaining, cut_mark
from rco.store.contract.writer import Seal
from rco.telemetry import signals

__all__ = ["LINKS", "EvidenceCut"]

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
LINKS = 256
"""In a segment: links ``256 k + 1`` to ``256 (k + 1)`` go together or not at all."""
PAGE = 64


class _Segment(msgspec.Struct):
    """What a checkpoint says of a segment."""

    chain: str
    first_n: int
    last_n: int = 0
    hash: bytes = b""
    from_us: int = 0
    until_us: int = 0
    decisions: int = 0
    leases: dict[str, str] = {}
    """Of each shard, of a pool with its version, the lease under which the last of its links was written: later ones of
    the chain do not repeat what an earlier one said."""


class EvidenceCut:
    """Does it for one node. ``feeds`` names those that chains are told by: what they have not told stays."""

    def __init__(self, retaining: Retaining, feeds: Callable[[], list[str]]) -> None:
        self._retaining, self._feeds = retaining, feeds

    async def run(self, desk: Desk, options: RetentionOptions, now_us: int, actor: str) -> int:
        """Cut what may go; returns how many links went. Broken off, what went has its checkpoint.

        Raises ``EvidenceBroken`` where links that are to go are not what was sealed, or not those that must stand
        there: nothing of that chain is removed, as it is what an investigation would need.
        """
        cut = 0
        async for segment in self._over(desk, options, now_us):
            removed = await self._retaining.cut(
                segment.chain, segment.first_n, segment.last_n, _checkpoint(desk, segment, actor, options.evidence)
            )
            cut += removed.links
            desk.metrics.counter(signals.RETENTION_DROPPED, kind="links").add(removed.links)
            await asyncio.sleep(removed.links / options.rate_per_s)
        return cut

    async def preview(self, desk: Desk, options: RetentionOptions, now_us: int) -> tuple[int, str | None]:
        """How many links would go, and when the first of them was written. Raises as ``run``."""
        count, first_us = 0, None
        async for segment in self._over(desk, options, now_us):
            count += segment.last_n - segment.first_n + 1
            first_us = segment.from_us if first_us is None else min(first_us, segment.from_us)
        return count, None if first_us is None else iso(first_us)

    async def _over(self, desk: Desk, options: RetentionOptions, now_us: int) -> AsyncIterator[_Segment]:
        """Segments that may go, of each chain from its beginning."""
        keep_us = options.keep_us(options.evidence)
        if keep_us is None:
            return
        broken: EvidenceBroken | None = None
        for chain in await desk.reader.chains():
            if chain in self._retaining.whole_chains:
                continue
            head = await desk.reader.head(chain)
            told_n = await self._told(desk, chain)
            at, prev = await desk.reader.cursor(cut_mark(chain)), b""
            while head is not None and at + LINKS < head.n and at + LINKS <= told_n:
                try:
                    segment = await _segment(desk, chain, at, prev)
                except EvidenceBroken as problem:
                    # What is wrong with one chain is no reason to keep the others for ever.
                    broken = broken or problem
                    break
                if segment.until_us > now_us - keep_us:
                    break
                if not await self._retaining.may_cut(chain, segment.first_n, segment.last_n):
                    break
                at, prev = segment.last_n, segment.hash
                yield segment
        if broken is not None:
            raise broken

    async def _told(self, desk: Desk, chain: str) -> int:
        """Up to which link every feed has told it."""
        told = [await desk.reader.cursor(f"{name}/{chain}") for name in self._feeds()]
        return min(told, default=1 << 62)


async def _segment(desk: Desk, chain: str, at: int, prev: bytes) -> _Segment:
    """The segment behind link ``at``, checked. ``prev``: the hash of that link, empty where it is not known."""
    segment = _Segment(chain, at + 1)
    prev = prev or (b"" if at else GENESIS)
    n = at
    while n < at + LINKS:
        page = await desk.reader.seals(n + 1, min(PAGE, at + LINKS - n), chain)
        for seal in page:
            _must_follow(chain, seal, n, prev)
            n, prev = seal.n, seal.hash
            segment.from_us = segment.from_us or seal.at_us
            segment.until_us = max(segment.until_us, seal.at_us)
            _read(segment, seal)
        if not page:
            raise _broken(chain, n + 1, "is missing")
    segment.last_n, segment.hash = n, prev
    return segment


def _must_follow(chain: str, seal: Seal, n: int, prev: bytes) -> None:
    if seal.n != n + 1:
        raise _broken(chain, n + 1, f"is missing; the next one is {seal.n}")
    if prev and seal.prev != prev:
        raise _broken(chain, seal.n, "does not carry the hash of the one before")
    given = link_hash(
        prev=seal.prev,
        writer=seal.writer,
        n=seal.n,
        epoch=seal.epoch,
        at_us=seal.at_us,
        leaves=seal.leaves,
        decisions=seal.decisions,
    )
    if given != seal.hash:
        raise _broken(chain, seal.n, "is not what was sealed")


def _broken(chain: str, n: int, what: str) -> EvidenceBroken:
    of = f" of chain {chain}" if chain else ""
    return EvidenceBroken(
        f"link {n}{of} {what}; nothing of it is removed",
        cure="Keep a copy of the store, then rco audit export and verify.",
    )


def _read(segment: _Segment, seal: Seal) -> None:
    decisions = _decode(seal.decisions)
    segment.decisions += len(decisions)
    for one in decisions:
        if one.get("verb") == Verb.NODE and one.get("reason") == "leases":
            facts = one.get("facts", {})
            for lease in (*str(facts.get("leases", "")).split(), *str(facts.get("pools", "")).split()):
                segment.leases[lease.partition(":")[0]] = lease


def _checkpoint(desk: Desk, segment: _Segment, actor: str, name: str) -> Record:
    def record(removed: Removed) -> Decision:
        facts: dict[str, str | int | bool] = {
            "class": name,
            "chain": segment.chain,
            "first": segment.first_n,
            "last": segment.last_n,
            "hash": segment.hash.hex(),
            "links": removed.links,
            "decisions": segment.decisions,
            "from_us": segment.from_us,
            "until_us": segment.until_us,
        }
        if segment.leases:
            facts["leases"] = " ".join(lease for _, lease in sorted(segment.leases.items()))
        return Decision(
            verb=Verb.CHECKPOINT,
            at_us=desk.clock.now_us(),
            actor=actor,
            subject="evidence",
            reason="retention",
            facts=facts,
        )

    return record
