"""The application that is killed: between them its workflows leave every kind of journal record.

Every effect goes to the downstream service and names its order, so the ledger tells what happened to each. The orders
are made up by the client; one order belongs to one run (and its children).
"""

from __future__ import annotations

import http.client
import json
import os
from typing import Any

from rco.errors import CallFailed
from rco.workflow import Backoff, Context, RetryPolicy, attempt, workflow

# Read here, not in a step: a step is as good a place, a workflow is none.
_PORT = int(os.environ.get("CRASH_DOWNSTREAM_PORT", "0"))
_OFTEN = RetryPolicy(40, Backoff(first_s=0.02, cap_s=0.2))
_PATIENTLY = RetryPolicy(40, Backoff(first_s=0.4, cap_s=0.4))
"""Long enough for a kill and a new start to come in between."""


def book(what: str, order: str) -> dict[str, Any]:
    """A step with an effect of its own, keyed as its author must key it."""
    return post(what, order, attempt().idempotency_key)


def post(what: str, order: str, key: str) -> dict[str, Any]:
    """Have the effect once. Raises for every answer but the good one."""
    connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=5)
    headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    try:
        connection.request("POST", f"/effects/{what}", json.dumps({"order": order}), headers)
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 201:
        raise RuntimeError(f"answered {answer.status}")
    return body


async def undo(ctx: Context, what: str, order: str) -> None:
    """What compensations do."""
    await ctx.call("desk", "POST", f"/effects/{what}", json={"order": order})


async def effect(ctx: Context, what: str, order: str) -> Any:
    return (await ctx.call("desk", "POST", f"/effects/{what}", json={"order": order})).body


async def fulfil_order(ctx: Context, order: str) -> dict[str, Any]:
    looked_up = await ctx.call("desk", "GET", f"/lookups/{order}")
    ctx.compensate(undo, "released", order)
    await effect(ctx, "reserved", order)
    await ctx.state("stage", "reserved")
    await ctx.sleep(0.12)
    await ctx.step(book, "booked", order, policy=_OFTEN)
    parcel = await ctx.child(ship, {"order": order})
    await ctx.emit("order.done", {"order": order, "parcel": parcel}, subject=order)
    return {"order": order, "tier": looked_up.body["tier"]}


@workflow
async def order(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    """Started by the control API."""
    return await fulfil_order(ctx, given["order"])


@workflow(on="order.created")
async def fulfil(ctx: Context, event: dict[str, Any]) -> dict[str, Any]:
    """The same, started by a webhook."""
    return await fulfil_order(ctx, event["data"]["data"]["order"])


@workflow(on="order.created")
async def watch(ctx: Context, event: dict[str, Any]) -> str:
    """Woken by the event that ``fulfil`` emits."""
    name = event["data"]["data"]["order"]
    done = await ctx.wait_for("order.done", subject=name, timeout_s=120)
    return str(done["id"])


@workflow
async def ship(ctx: Context, given: dict[str, Any]) -> Any:
    """A child."""
    shipped = await effect(ctx, "shipped", given["order"])
    await ctx.sleep(0.03)
    return shipped["order"]


@workflow
async def gate(ctx: Context, given: dict[str, Any]) -> list[Any]:
    """Takes as many signals as it is told to, each in a commit of its own, then passes."""
    taken = []
    for _ in range(given["count"]):
        taken.append(await ctx.signal("go"))
        await ctx.sleep(0.03)
    await effect(ctx, "passed", given["order"])
    return taken


@workflow
async def nap(ctx: Context, given: dict[str, Any]) -> str:
    """Sleeps long enough to be parked, and is woken. Every run of it begins with the code as it is, so in every life
    it must be told that it is new."""
    await ctx.sleep(given["seconds"])
    if await ctx.patched("naps are told"):
        await effect(ctx, "napped", given["order"])
    return "awake"


@workflow
async def fan(ctx: Context, given: dict[str, Any]) -> int:
    """Branches: side by side, and one against the other."""
    name = given["order"]
    await ctx.gather(*(effect(ctx, f"fan{index}", name) for index in range(3)))
    winner, _ = await ctx.race(ctx.sleep(0.05), ctx.signal("never", timeout_s=120))
    await effect(ctx, "joined", name)
    return winner


def stumble(order: str) -> dict[str, Any]:
    """Fails the first time it is tried."""
    if attempt().number < 2:
        raise RuntimeError("stumbled")
    return book("stumbled", order)


@workflow
async def flaky(ctx: Context, given: dict[str, Any]) -> Any:
    """A step that has to be retried."""
    return await ctx.step(stumble, given["order"], policy=_PATIENTLY)


@workflow
async def refused(ctx: Context, given: dict[str, Any]) -> None:
    """Fails for good half-way, and gives back what it took."""
    ctx.compensate(undo, "released", given["order"])
    await effect(ctx, "reserved", given["order"])
    await ctx.call("desk", "POST", "/refusals/charge", json={"order": given["order"]})


@workflow
async def stopped(ctx: Context, given: dict[str, Any]) -> None:
    """Goes on until it is cancelled, and gives back what it took."""
    ctx.compensate(undo, "released", given["order"])
    await effect(ctx, "reserved", given["order"])
    await ctx.signal("never")


@workflow
async def parent(ctx: Context, given: dict[str, Any]) -> str:
    """Two children against each other: the quick one wins, the slow one is cancelled."""
    _, value = await ctx.race(ctx.child(quick, given), ctx.child(slow, given))
    await effect(ctx, "raced", given["order"])
    return str(value)


@workflow
async def quick(ctx: Context, given: dict[str, Any]) -> str:
    await ctx.sleep(0.05)
    return "quick"


@workflow
async def slow(ctx: Context, given: dict[str, Any]) -> None:
    ctx.compensate(undo, "released", given["order"])
    await effect(ctx, "reserved", given["order"])
    await ctx.signal("never")


def charge_once(order: str) -> dict[str, Any]:
    """An effect that the other side cannot recognise when it comes again."""
    return post("charged", order, "")


@workflow
async def once(ctx: Context, given: dict[str, Any]) -> Any:
    """A step that may not be repeated."""
    charged = await ctx.step(charge_once, given["order"], once=True, name="charge")
    await effect(ctx, "receipt", given["order"])
    return charged


@workflow
async def unkeyed(ctx: Context, given: dict[str, Any]) -> Any:
    """A call to a target that knows no idempotency keys. Its failure is part of the result."""
    try:
        charged = await ctx.call("plain", "POST", "/effects/charged", json={"order": given["order"]}, name="charge")
    except CallFailed as problem:
        return {"failed": str(problem)}
    await effect(ctx, "receipt", given["order"])
    return charged.body
