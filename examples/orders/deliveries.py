"""What the demo sends: real-looking payloads, signed by the providers' own public libraries, and the tricks of others.

A plan is made from a seed and is the same for the same seed. Signing happens at the moment of sending, as a provider
does it: the time stamp is that of the attempt, the delivery's id stays.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from githubkit.webhooks import sign as sign_for_github
from standardwebhooks import Webhook

__all__ = ["Delivery", "Keys", "make_plan", "signed_headers"]

_NAMES = ("amelie", "bashir", "carmen", "dmitri", "esther", "farouk", "greta", "hiro", "ines", "jonas")
_STREETS = ("Mill Lane", "Rue du Bac", "Lindenstrasse", "Calle Mayor", "Harbour Road")
_OVERSIZED_BYTES = (1 << 20) + 4096
STALE_S = 900


@dataclass(frozen=True)
class Keys:
    """The secrets that sender and service share. ``shop`` in the form of Standard Webhooks: ``whsec_`` and base64."""

    shop: str
    forge: str


@dataclass(frozen=True)
class Delivery:
    """One delivery, to be sent ``copies`` times at once. ``again`` is sent once more after all else."""

    delivery: str
    provider: str
    kind: str
    about: str
    workflows: tuple[str, ...]
    body: bytes
    github_event: str = ""
    copies: int = 1
    again: bool = False

    @property
    def valid(self) -> bool:
        """Whether it must be accepted."""
        return self.kind not in ("forged", "altered", "unsigned", "stale", "oversized")


def signed_headers(one: Delivery, keys: Keys, now: datetime) -> dict[str, str]:
    """The headers the provider would send with ``one`` at ``now``, or what its kind makes of them."""
    headers = {"Content-Type": "application/json"}
    if one.provider == "forge":
        headers |= {"X-GitHub-Delivery": one.delivery, "X-GitHub-Event": one.github_event}
        secret = "not-the-secret-of-this-hook" if one.kind == "forged" else keys.forge
        if one.kind != "unsigned":
            headers["X-Hub-Signature-256"] = sign_for_github(secret, one.body)
    else:
        at = now - timedelta(seconds=STALE_S) if one.kind == "stale" else now
        headers |= {"webhook-id": one.delivery, "webhook-timestamp": str(int(at.timestamp()))}
        secret = "whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhpcyBob29r" if one.kind == "forged" else keys.shop
        signed = one.body.replace(b'"EUR"', b'"SEK"') if one.kind == "altered" else one.body
        if one.kind != "unsigned":
            headers["webhook-signature"] = Webhook(secret).sign(one.delivery, at, signed.decode())
    return headers


def make_plan(seed: int, orders: int = 240) -> list[Delivery]:
    """Everything to send, in order. The other kinds come in proportion to ``orders``."""
    chance = random.Random(seed)
    share = max(1, orders // 12)
    plan = [_order(chance, number, "order", ("fulfil", "survey")) for number in range(1, orders + 1)]
    # Orders that the services turn down come early: the run that waits for their parcel waits its full time.
    for place in range(2, 2 + share):
        plan[place] = _order(chance, place + 1, "declined", ("fulfil", "survey"), amount_cents=150_000)
    for place in range(2 + share, 2 + share + max(1, share // 4)):
        plan[place] = _order(chance, place + 1, "out_of_stock", ("fulfil", "survey"), sku="SKU-DISCONTINUED")
    for place in range(4 * share, 5 * share):
        plan[place] = _with(plan[place], copies=4)
    for place in range(5 * share, 7 * share):
        plan[place] = _with(plan[place], again=True)
    others: list[Delivery] = []
    number = orders
    for kind, count in (("forged", share), ("altered", share), ("unsigned", share), ("stale", share)):
        for _ in range(count):
            number += 1
            others.append(_order(chance, number, kind, ()))
    for _ in range(max(2, share // 4)):
        number += 1
        others.append(_order(chance, number, "oversized", (), note="x" * _OVERSIZED_BYTES))
    others.extend(_issue(chance, ticket, "issue", ("triage",)) for ticket in range(1, 2 * share + 1))
    others[-1] = _with(others[-1], again=True)
    others[-2] = _with(others[-2], copies=4)
    others.extend(_push(chance, ticket) for ticket in range(1, share + 1))
    for kind in ("forged", "unsigned"):
        for _ in range(max(1, share // 3)):
            number += 1
            others.append(_issue(chance, number, kind, ()))
    for one in others:
        plan.insert(chance.randrange(share * 2, len(plan)), one)
    return plan


def _with(one: Delivery, *, copies: int = 1, again: bool = False) -> Delivery:
    return Delivery(
        one.delivery, one.provider, one.kind, one.about, one.workflows, one.body, one.github_event, copies, again
    )


def _order(
    chance: random.Random,
    number: int,
    kind: str,
    workflows: tuple[str, ...],
    *,
    amount_cents: int | None = None,
    sku: str | None = None,
    note: str = "",
) -> Delivery:
    order_id = f"ord-{number:05}"
    name = chance.choice(_NAMES)
    lines = [
        {"sku": sku or f"SKU-{chance.randrange(1000, 1400)}", "quantity": chance.randint(1, 2), "unit_cents": unit}
        for unit in chance.choices((990, 1490, 2450, 5900, 12_000), k=chance.randint(1, 3))
    ]
    data = {
        "order_id": order_id,
        "customer_id": f"cus-{name}",
        "currency": "EUR",
        "amount_cents": amount_cents or sum(line["quantity"] * line["unit_cents"] for line in lines),  # type: ignore[misc,operator]
        "lines": lines,
        "address": {
            "name": name.title(),
            "street": f"{chance.randint(1, 99)} {chance.choice(_STREETS)}",
            "postcode": f"{chance.randrange(10_000, 99_999)}",
        },
        "note": note,
    }
    payload = {"type": "order.created", "timestamp": datetime.now(UTC).isoformat(timespec="seconds"), "data": data}
    delivery = f"msg_{_text(chance, 22)}"
    return Delivery(delivery, "shop", kind, order_id, workflows, json.dumps(payload).encode())


def _issue(chance: random.Random, number: int, kind: str, workflows: tuple[str, ...]) -> Delivery:
    login = chance.choice(_NAMES)
    payload = {
        "action": "opened",
        "issue": {
            "id": 2_400_000_000 + number,
            "number": number,
            "title": f"Shelf {chance.randint(1, 40)} says in stock, but it is empty",
            "state": "open",
            "user": {"login": login, "id": 1000 + _NAMES.index(login), "type": "User"},
            "labels": [{"name": "stock"}],
            "body": "Counted twice, with a colleague.",
        },
        **_repository(),
        "sender": {"login": login, "id": 1000 + _NAMES.index(login), "type": "User"},
    }
    return _github(chance, "issues", kind, f"issue-{number}", workflows, payload)


def _push(chance: random.Random, number: int) -> Delivery:
    after = _text(chance, 40, "0123456789abcdef")
    payload = {
        "ref": "refs/heads/main",
        "before": _text(chance, 40, "0123456789abcdef"),
        "after": after,
        "commits": [{"id": after, "message": f"Move shelf {number}", "added": [], "modified": ["shelves.csv"]}],
        "pusher": {"name": chance.choice(_NAMES)},
        **_repository(),
    }
    return _github(chance, "push", "push", f"push-{number}", (), payload)


def _github(
    chance: random.Random, event: str, kind: str, about: str, workflows: tuple[str, ...], payload: dict[str, object]
) -> Delivery:
    part: Callable[[int], str] = lambda count: _text(chance, count, "0123456789abcdef")  # noqa: E731
    delivery = f"{part(8)}-{part(4)}-11f0-{part(4)}-{part(12)}"
    return Delivery(delivery, "forge", kind, about, workflows, json.dumps(payload).encode(), event)


def _repository() -> dict[str, object]:
    owner = {"login": "corner-shop", "id": 77, "type": "Organization"}
    return {"repository": {"id": 4711, "name": "stock", "full_name": "corner-shop/stock", "owner": owner}}


def _text(
    chance: random.Random, count: int, letters: str = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
) -> str:
    return "".join(chance.choices(letters, k=count))
