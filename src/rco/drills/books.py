"""What each party wrote down: the sender, the service's events, its audit, and the ledger of the service it calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from rco.client import Client
from rco.kit.clock import iso

__all__ = ["Decided", "Sent", "decided", "events_since", "sent"]

_PAGE = 500
_TOO_LATE = "DOWNSTREAM_UNAVAILABLE"
"""A write that took too long is refused so, and may be durable all the same: its sender asks again, and is told."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The sender's own record: what it was told that it was taken, by identity and by address."""

    webhooks: frozenset[str]
    refused: frozenset[str]
    """Webhooks that were refused for good."""
    addresses: frozenset[str]


def sent(record: Path) -> Sent:
    """What the sender wrote."""
    webhooks, refused, addresses = set(), set(), set()
    with record.open("rb") as file:
        for line in file:
            _, kind, identity, status, reason, address, _ = msgspec.json.decode(line)
            if kind == "webhook" and status == 202:
                webhooks.add(identity)
            elif kind == "webhook" and status >= 400 and reason != _TOO_LATE:
                refused.add(identity)
            elif kind == "put" and status == 202:
                addresses.add(address)
    return Sent(webhooks=frozenset(webhooks), refused=frozenset(refused), addresses=frozenset(addresses))


async def events_since(client: Client, type: str, since_us: int) -> set[str]:
    """The identities of the accepted events of that type that were received since then."""
    found: set[str] = set()
    after, since = None, iso(since_us)
    while True:
        page = await client.events(type=type, after=after, limit=_PAGE)
        found.update(one.id for one in page.items if one.received_at >= since)
        after = page.next
        if after is None or (page.items and page.items[-1].received_at < since):
            return found


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge's decisions in the evidence."""

    accepted: dict[str, int]
    """By who sent it: a provider, or ``put``. Repeats are not counted."""
    refused: dict[str, int]
    """By reason."""
    events: frozenset[str]
    """The events that were accepted."""
    brownouts: list[str]
    """``begins`` with its causes, ``ends``."""


def decided(lines: Iterable[bytes]) -> Decided:
    """What an export of the evidence holds of the bridge's decisions."""
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    events, brownouts = set(), []
    for one in _decisions(lines):
        facts = one.get("facts", {})
        match one["verb"]:
            case "accept" if not one.get("reason"):
                accepted[one["subject"]] += 1
                events.add(one["event"])
            case "refuse":
                refused[str(facts.get("reason", ""))] += 1
            case "brownout":
                brownouts.append(f"{one['reason']} {facts.get('causes', '')}".strip())
    return Decided(accepted=dict(accepted), refused=dict(refused), events=frozenset(events), brownouts=brownouts)


def _decisions(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if b'"line":"seal"' in line[:64]:
            yield from msgspec.json.decode(line)["decisions"]
