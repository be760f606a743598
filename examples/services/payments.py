"""Payments: knows the customers, charges a card, and declines some for reasons of business."""

from __future__ import annotations

from typing import Any

from examples.services.ledger import Answered, Ledger
from examples.services.service import run_service

_LIMIT_CENTS = 100_000
_TIERS = ("standard", "silver", "gold")


def customer(parameters: dict[str, str], _: dict[str, Any], __: Ledger) -> Answered:
    """What is known of a customer."""
    name = parameters["customer"]
    tier = _TIERS[sum(name.encode()) % len(_TIERS)]
    return Answered(200, {"id": name, "tier": tier, "email": f"{name}@example.com"})


def charge(_: dict[str, str], body: dict[str, Any], __: Ledger) -> Answered:
    """Charge an order's card. Amounts over the limit are declined: always the same orders, however often asked."""
    order, amount = body["order"], body["amount_cents"]
    if amount > _LIMIT_CENTS:
        return Answered(402, {"error": "card_declined", "limit_cents": _LIMIT_CENTS}, order=order)
    return Answered(201, {"charge": f"ch-{order}", "amount_cents": amount}, "charged", order)


def refund(parameters: dict[str, str], _: dict[str, Any], ledger: Ledger) -> Answered:
    """Give an order's money back. When nothing was charged there is nothing to do, which is a success too."""
    order = parameters["order"]
    holds = ("charged", order) in ledger.effects and ("refunded", order) not in ledger.effects
    return Answered(200, {"refunded": holds}, "refunded" if holds else "", order)


if __name__ == "__main__":
    run_service(
        "payments",
        [
            ("GET", "/customers/{customer}", customer),
            ("POST", "/charges", charge),
            ("DELETE", "/charges/{order}", refund),
        ],
    )
