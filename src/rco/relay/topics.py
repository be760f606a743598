"""The topics: what each tells, read off the decisions of the audit chain.

The chain is the outbox: a decision is in it by the commit that made it true, so nothing is told that did not happen,
and nothing that happened goes untold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec

from rco.brokers.contract import Outgoing
from rco.kit.clock import iso
from rco.model.decision import Verb
from rco.store.contract.writer import Seal

__all__ = ["CONFIG", "TOPICS", "UPDATED", "messages_of", "telling"]

AUDIT = "audit.event.v1"
WEBHOOK = "interop.webhook.accepted.v1"
PUT = "interop.put.accepted.v1"
BROWNOUT = "interop.bridge.brownout.v1"
SHUTDOWN = "shutdown.v1"
CONFIG = "config.updated.v1"
TOPICS = (WEBHOOK, PUT, AUDIT, BROWNOUT, SHUTDOWN, CONFIG)
UPDATED = "updated"
"""The reason of the decision that stands for a reload as a whole; each setting that differs has one of its own."""

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def messages_of(chain: str, seal: Seal, topics: Collection[str]) -> list[Outgoing]:
    """What the link ``seal`` of ``chain`` tells on ``topics``: one structured CloudEvent (1.0) for each, in the order
    of its decisions. The same at each call: identities are places in the link, under its hash."""
    told: list[Outgoing] = []
    # Two services on one broker may have chains of one name; no two links have one hash.
    link = seal.hash.hex()[:40]
    for place, decision in enumerate(_decode(seal.decisions)):
        identity = f"{link}/{place}"
        told += [_message(topic, identity, chain, decision) for topic in _topics_of(decision) if topic in topics]
    return told


def telling(topics: Collection[str]) -> Callable[[str, Seal], Awaitable[list[Outgoing]]]:
    """``messages_of`` for these topics, as a feed asks for it."""
    wanted = frozenset(topics)

    async def tell(chain: str, seal: Seal) -> list[Outgoing]:
        return messages_of(chain, seal, wanted)

    return tell


def _topics_of(decision: dict[str, Any]) -> list[str]:
    verb, facts = decision["verb"], decision.get("facts", {})
    if verb == Verb.ACCEPT and not decision.get("reason"):
        if facts.get("type") == PUT:
            return [PUT, AUDIT]
        if decision.get("actor", "").startswith("provider:"):
            return [WEBHOOK, AUDIT]
    elif verb == "brownout":
        return [BROWNOUT, AUDIT]
    elif verb == Verb.NODE and decision.get("reason") == "stopping":
        return [SHUTDOWN, AUDIT]
    elif verb == Verb.CONFIG and decision.get("reason") == UPDATED:
        return [CONFIG, AUDIT]
    return [AUDIT]


def _message(topic: str, identity: str, chain: str, decision: dict[str, Any]) -> Outgoing:
    corr_id = decision.get("corr_id", "")
    body = {
        "specversion": "1.0",
        "id": identity,
        "source": f"/rco/{chain or 'main'}",
        "type": topic,
        "time": iso(decision["at_us"]),
        "datacontenttype": "application/json",
        "data": decision,
    }
    if decision.get("subject"):
        body["subject"] = decision["subject"]
    # What belongs to one request keeps its order.
    return Outgoing(topic, corr_id or decision.get("run", "") or chain, identity, _encode(body))
