"""Shipping: one parcel an order."""

from __future__ import annotations

from typing import Any

from examples.services.ledger import Answered, Ledger
from examples.services.service import run_service


def ship(_: dict[str, str], body: dict[str, Any], __: Ledger) -> Answered:
    """Hand an order's parcel to the carrier."""
    order = body["order"]
    return Answered(201, {"parcel": f"trk-{order}", "carrier": "postal"}, "shipped", order)


if __name__ == "__main__":
    run_service("shipping", [("POST", "/parcels", ship)])
