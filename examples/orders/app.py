"""Orders: what happens between "a customer pressed buy" and "the parcel is on its way".

Run it with ``rco dev examples/orders/app.py --config rco-config.yaml``.
"""

from __future__ import annotations

from typing import Any

from rco.errors import TimedOut
from rco.workflow import Context, workflow


@workflow(on="order.created")
async def fulfil(ctx: Context, event: dict[str, Any]) -> dict[str, Any]:
    """Take an order from payment to parcel. Whatever fails, what was taken is given back."""
    order = event["data"]["data"]  # the payload as it was signed: {"type", "timestamp", "data"}
    order_id = order["order_id"]
    customer = await ctx.call("customers", "GET", f"/customers/{order['customer_id']}")

    # What undoes a call is registered before it: a call whose answer was lost may have been done all the same.
    ctx.compensate(release, order_id)
    await ctx.call("inventory", "POST", "/reservations", json={"order": order_id, "lines": order["lines"]})
    ctx.compensate(refund, order_id)
    charge = {"order": order_id, "amount_cents": order["amount_cents"], "tier": customer.body["tier"]}
    await ctx.call("payments", "POST", "/charges", json=charge)

    await ctx.sleep(0.5)  # time to change one's mind; it passes also when the service is down
    parcel = await ctx.child(ship, {"order": order_id, "address": order["address"]})
    await ctx.emit("order.fulfilled", {"order": order_id, "parcel": parcel["parcel"]}, subject=order_id)
    return {"order": order_id, "parcel": parcel["parcel"]}


async def release(ctx: Context, order_id: str) -> None:
    """Give back the stock."""
    await ctx.call("inventory", "DELETE", f"/reservations/{order_id}")


async def refund(ctx: Context, order_id: str) -> None:
    """Give back the money."""
    await ctx.call("payments", "DELETE", f"/charges/{order_id}")


@workflow
async def ship(ctx: Context, parcel: dict[str, Any]) -> dict[str, Any]:
    """Hand one parcel to the carrier."""
    answer = await ctx.call("shipping", "POST", "/parcels", json=parcel)
    return dict(answer.body)


@workflow(on="order.created")
async def survey(ctx: Context, event: dict[str, Any]) -> dict[str, Any]:
    """Ask the customer how it went, once the order is fulfilled; do not ask when it was not."""
    order_id = event["data"]["data"]["order_id"]
    try:
        fulfilled = await ctx.wait_for("order.fulfilled", subject=order_id, timeout_s=12)
    except TimedOut:
        return {"order": order_id, "asked": False}
    return {"order": order_id, "asked": True, "parcel": fulfilled["data"]["parcel"]}


@workflow(on="github.issues.opened")
async def triage(ctx: Context, event: dict[str, Any]) -> dict[str, Any]:
    """An issue about wrong stock has the shelf counted again."""
    issue = event["data"]["issue"]
    answer = await ctx.call("inventory", "POST", "/recounts", json={"ticket": f"issue-{issue['number']}"})
    return {"issue": issue["number"], "recount": answer.body["recount"]}
