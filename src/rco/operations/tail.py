"""Tail: what the service decided, as events, from some time on and onwards.

What is told is what is in the chains, so a restart loses nothing, and every node's decisions are there. Told at least
once: whoever asks again with the same mark is told the same.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec

from rco.errors import Reason, Refused
from rco.kit.clock import MICROS, iso
from rco.model.principal import Principal, Role
from rco.model.wire_audit import TailItem, TailPage
from rco.operations.access import require_everywhere
from rco.operations.desk import Desk
from rco.relay.topics import CONFIG, UPDATED
from rco.store.contract.reader import AuditReader
from rco.store.contract.writer import Seal

__all__ = ["ITEMS_MAX", "SINCE_MAX_S", "TOPICS", "WAIT_MAX_S", "tail"]

ITEMS_MAX = 500
WAIT_MAX_S = 20.0
SINCE_MAX_S = 366 * 86400.0
PAGE_SEALS = 64
PAGES_MAX = 32
"""A call reads so many pages of a chain at most; what it found by then it tells, be it nothing."""
LOOK_EVERY_S = 0.5
_MARK_CAP_CHARS = 8192

TOPICS: dict[str, frozenset[str] | None] = {
    "svc-interop": frozenset(("accept", "refuse", "handshake", "brownout", "node", "config", "mint", "revoke")),
    "rco": None,
}
"""Which decisions belong to a topic, by their verb; ``None``: all of them."""
_TYPES = {
    "accept": "interop.webhook.accepted.v1",
    "brownout": "interop.bridge.brownout.v1",
}
PUT_TYPE = "interop.put.accepted.v1"
AUDIT_TYPE = "audit.event.v1"
SHUTDOWN_TYPE = "shutdown.v1"

_Marks = dict[str, int]
"""The next link to read of each chain."""
_decode_marks = msgspec.json.Decoder(_Marks).decode


async def tail(
    desk: Desk, principal: Principal, *, topic: str, since_s: float, after: str | None, wait_s: float, limit: int
) -> TailPage:
    """What came after ``after`` (the ``next`` of the page before), or since ``since_s`` ago where that is not given.

    Waits up to ``wait_s`` for something to come. Needs the administrator's role over all namespaces, as chains span
    them. Raises ``Refused`` (``MALFORMED``) for a topic or a mark that is none.
    """
    require_everywhere(principal, Role.ADMIN)
    if topic not in TOPICS:
        raise Refused(Reason.MALFORMED, "bad_topic", f"topic: not one of {', '.join(TOPICS)}.")
    from_us = desk.clock.now_us() - round(since_s * MICROS)
    marks = {} if after is None else _read_marks(after)
    ends_s = desk.clock.monotonic() + wait_s
    while True:
        items, whole = await _collect(desk.reader, marks, from_us, TOPICS[topic], limit)
        left_s = ends_s - desk.clock.monotonic()
        if items or not whole or left_s <= 0:
            return TailPage(items=items, next=_write_marks(marks), whole=whole)
        await asyncio.sleep(min(LOOK_EVERY_S, left_s))


async def _collect(
    reader: AuditReader, marks: _Marks, from_us: int, verbs: frozenset[str] | None, limit: int
) -> tuple[list[TailItem], bool]:
    """Items in the order of their time, and whether all chains were read to their ends. Moves ``marks``."""
    items: list[TailItem] = []
    whole = True
    for chain in await reader.chains():
        if chain not in marks:
            marks[chain] = await _first_since(reader, chain, from_us)
        for _ in range(PAGES_MAX):
            page = await reader.seals(marks[chain], PAGE_SEALS, chain)
            for seal in page:
                if len(items) >= limit:
                    break
                items += _told(seal, chain, from_us, verbs)
                marks[chain] = seal.n + 1
            if len(page) < PAGE_SEALS or len(items) >= limit:
                whole = whole and len(items) < limit
                break
        else:
            whole = False
    return sorted(items, key=lambda item: (item.at, item.chain, item.n)), whole


async def _first_since(reader: AuditReader, chain: str, from_us: int) -> int:
    """The first link that is not older, found by halving: links are in the order of their time, near enough."""
    head = await reader.head(chain)
    if head is None:
        return 1
    low, high = 1, head.n + 1
    while low < high:
        middle = (low + high) // 2
        found = await reader.seals(middle, 1, chain)
        if found and found[0].at_us < from_us:
            low = found[0].n + 1
        else:
            high = middle
    return low


def _told(seal: Seal, chain: str, from_us: int, verbs: frozenset[str] | None) -> list[TailItem]:
    decisions: list[dict[str, Any]] = msgspec.json.decode(seal.decisions)
    return [
        TailItem(type=_type_of(one), at=iso(one["at_us"]), chain=chain, n=seal.n, decision=one)
        for one in decisions
        if (verbs is None or one["verb"] in verbs) and one["at_us"] >= from_us
    ]


def _type_of(decision: dict[str, Any]) -> str:
    verb = decision["verb"]
    if verb == "accept" and decision.get("facts", {}).get("type") == PUT_TYPE:
        return PUT_TYPE
    if verb == "node" and decision.get("reason") == "stopped":
        return SHUTDOWN_TYPE
    if verb == "config" and decision.get("reason") == UPDATED:
        return CONFIG
    return _TYPES.get(verb, AUDIT_TYPE)


def _read_marks(text: str) -> _Marks:
    try:
        if len(text) > _MARK_CAP_CHARS:
            raise ValueError
        marks = _decode_marks(base64.urlsafe_b64decode(text))
        if any(not 1 <= n < 1 << 62 for n in marks.values()):
            raise ValueError
    except ValueError:
        raise Refused(Reason.MALFORMED, "bad_mark", "after: not the next of a page before.") from None
    return marks


def _write_marks(marks: _Marks) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(marks)).decode()
