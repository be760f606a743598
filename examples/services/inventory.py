"""Inventory: reserves stock for an order, gives it back, and takes requests to count a shelf again."""

from __future__ import annotations

from typing import Any

from examples.services.ledger import Answered, Ledger
from examples.services.service import run_service

_GONE = "SKU-DISCONTINUED"


def reserve(_: dict[str, str], body: dict[str, Any], __: Ledger) -> Answered:
    """Stock for every line of an order, or 409 when one of them is no longer sold."""
    order, lines = body["order"], body["lines"]
    if any(line["sku"] == _GONE for line in lines):
        return Answered(409, {"error": "out_of_stock", "sku": _GONE}, order=order)
    units = sum(line["quantity"] for line in lines)
    return Answered(201, {"reservation": f"res-{order}", "units": units}, "reserved", order)


def release(parameters: dict[str, str], _: dict[str, Any], ledger: Ledger) -> Answered:
    """Give back what an order holds. For an order that holds nothing there is nothing to do, which is a success too."""
    order = parameters["order"]
    holds = ("reserved", order) in ledger.effects and ("released", order) not in ledger.effects
    return Answered(200, {"released": holds}, "released" if holds else "", order)


def recount(_: dict[str, str], body: dict[str, Any], __: Ledger) -> Answered:
    """Have a shelf counted again."""
    ticket = str(body["ticket"])
    return Answered(202, {"recount": f"cnt-{ticket}"}, "recount", ticket)


if __name__ == "__main__":
    run_service(
        "inventory",
        [
            ("POST", "/reservations", reserve),
            ("DELETE", "/reservations/{order}", release),
            ("POST", "/recounts", recount),
        ],
    )
