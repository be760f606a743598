"""What the nodes of a simulation run: between them these workflows leave every kind of journal record.

Every effect names its order, and one order belongs to one run and its children.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from rco.engine.program import Program
from rco.errors import CallRefused, TimedOut
from rco.kit.backoff import Backoff
from rco.model.effect import RetryPolicy
from rco.model.version import pin
from rco.testing.loop import InPlace
from rco.testing.upstream import ModelCaller, Upstream
from rco.workflow import Applied, Context, NotApplied, Probe, Workflow, attempt, workflow
from rco.workflow.application import Application

__all__ = ["KINDS", "QUEUED", "VERSIONS", "WORKFLOWS", "connect", "pool_of_programs"]

OFTEN = RetryPolicy(40, Backoff(first_s=0.05, cap_s=1.0))
KINDS = ("chain", "gate", "nap", "fan", "trip", "charge", "family", "meeting", "event", "patience", "checked", "spend")
"""Kinds of order that clients make. ``meeting`` is two runs and ``event`` one that nobody starts by name."""
QUEUED = ("chain", "nap", "fan", "trip", "charge", "patience")
"""Workflows whose runs may wait in a queue: nobody waits for them who holds up another."""


class Refusal(Exception):
    """What fails a trip."""


_upstream: ContextVar[Upstream] = ContextVar("rco_simulation_upstream")


def connect(upstream: Upstream) -> None:
    """Have the steps of the current context act on ``upstream``."""
    _upstream.set(upstream)


async def book(what: str, order: str) -> dict[str, Any]:
    return await _upstream.get().send(attempt(), what, order, keyed=True)


async def charge_once(order: str) -> dict[str, Any]:
    return await _upstream.get().send(attempt(), "paid", order, keyed=False)


async def call(ctx: Context, what: str, order: str) -> Any:
    return (await ctx.call("keyed", "POST", f"/{what}", json=order)).body


async def after(ctx: Context, what: str, order: str) -> None:
    await ctx.sleep(0.2)
    await ctx.step(book, what, order, policy=OFTEN)


async def release(ctx: Context, order: str) -> None:
    await call(ctx, "released", order)


@workflow
async def chain(ctx: Context, given: dict[str, Any]) -> int:
    await ctx.attribute("order", given["order"])
    for index in range(given["steps"]):
        await ctx.attribute("step", index)
        if index % 2:
            await call(ctx, f"step{index}", given["order"])
        else:
            await ctx.step(book, f"step{index}", given["order"], policy=OFTEN)
        if index == 1:
            await ctx.state("half", {"step": index, "order": given["order"]})
    if given["steps"] > 3:
        await ctx.attribute("order", None)
    return int(given["steps"])


@workflow
async def gate(ctx: Context, given: dict[str, Any]) -> list[Any]:
    taken = [await ctx.signal("go") for _ in range(given["count"])]
    await call(ctx, "passed", given["order"])
    return taken


@workflow
async def nap(ctx: Context, given: dict[str, Any]) -> str:
    await call(ctx, "lain", given["order"])
    await ctx.sleep(given["seconds"])
    await call(ctx, "woken", given["order"])
    return "awake"


@workflow
async def fan(ctx: Context, given: dict[str, Any]) -> int:
    order = given["order"]
    await ctx.map(lambda index: call(ctx, f"fan{index}", order), range(given["width"]), limit=2)
    winner, _ = await ctx.race(ctx.sleep(0.05), call(ctx, "raced", order), ctx.signal("never"))
    await ctx.gather(
        call(ctx, "left", order), after(ctx, "right", order), ctx.step(book, "middle", order, policy=OFTEN)
    )
    return winner


@workflow
async def trip(ctx: Context, given: dict[str, Any]) -> str:
    order = given["order"]
    ctx.compensate(release, order)
    await ctx.gather(ctx.attribute("fails", given["fails"]), ctx.attribute("order", order))
    await call(ctx, "reserved", order)
    await ctx.sleep(given["seconds"])
    await call(ctx, "booked", order)
    if given["fails"]:
        raise Refusal("no seat")
    return "booked"


@workflow
async def charge(ctx: Context, given: dict[str, Any]) -> str:
    order = given["order"]
    await call(ctx, "checked", order)
    if given["step"]:
        await ctx.step(charge_once, order, once=True, policy=OFTEN)
    else:
        await ctx.call("once", "POST", "/paid", json=order)
    await call(ctx, "receipt", order)
    return "paid"


@workflow
async def family(ctx: Context, given: dict[str, Any]) -> Any:
    order = given["order"]
    result = await ctx.child(chain, {"order": order, "steps": 2})
    await ctx.race(ctx.child(nap, {"order": f"{order}-slow", "seconds": 90.0}), ctx.sleep(0.3))
    await call(ctx, "raised", order)
    return result


@workflow
async def teller(ctx: Context, given: dict[str, Any]) -> str:
    await call(ctx, "said", given["order"])
    return await ctx.emit("told", {"order": given["order"]}, subject=given["order"])


@workflow
async def listener(ctx: Context, given: dict[str, Any]) -> Any:
    heard = await ctx.wait_for("told", subject=given["order"])
    await call(ctx, "heard", given["order"])
    return heard["data"]["order"]


@workflow
async def fulfil(ctx: Context, given: dict[str, Any]) -> str:
    await call(ctx, "fulfilled", given["order"])
    return "done"


@workflow
async def patience(ctx: Context, given: dict[str, Any]) -> bool:
    try:
        await ctx.signal("late", timeout_s=given["seconds"])
    except TimedOut:
        await call(ctx, "gone", given["order"])
        return False
    return True


@workflow
async def spend(ctx: Context, given: dict[str, Any]) -> int:
    """Calls what has a budget, until that is spent."""
    done = 0
    for index in range(given["steps"]):
        try:
            await ctx.call("metered", "POST", f"/spent{index}", json=given["order"])
        except CallRefused:
            continue
        done += 1
        await ctx.sleep(0.1)
    return done


async def was_paid(order: str) -> Applied | NotApplied:
    """The other side has a ledger of its own. Its answer comes later, as all answers do."""
    here = attempt()
    found = [one for one in _upstream.get().done if (one.run_id, one.step) == (here.run_id, here.key)]
    await asyncio.sleep(0.01)
    return Applied({"what": "paid", "order": order, "status": 200}) if found else NotApplied()


@workflow
async def checked(ctx: Context, given: dict[str, Any]) -> str:
    order = given["order"]
    probe = Probe(was_paid, order, grace_s=given["grace_s"])
    await ctx.step(charge_once, order, once=True, policy=OFTEN, probe=probe)
    await call(ctx, "receipt", order)
    return "paid"


WORKFLOWS: list[Workflow[Any, Any]] = [
    chain,
    gate,
    nap,
    fan,
    trip,
    charge,
    family,
    teller,
    listener,
    fulfil,
    patience,
    checked,
    spend,
]


# -- the other version: it does something else at a place that a run may have passed -----------------------------------


@workflow(name="nap")
async def nap_2(ctx: Context, given: dict[str, Any]) -> str:
    await call(ctx, "abed", given["order"])
    await ctx.sleep(given["seconds"])
    await call(ctx, "woken", given["order"])
    return "awake"


@workflow(name="gate")
async def gate_2(ctx: Context, given: dict[str, Any]) -> list[Any]:
    taken = [await ctx.signal("go") for _ in range(given["count"])]
    await call(ctx, "through", given["order"])
    return taken


VERSIONS: dict[str, list[Workflow[Any, Any]]] = {
    "v1": WORKFLOWS,
    "v2": [one for one in WORKFLOWS if one.name not in ("nap", "gate")] + [nap_2, gate_2],
}


def pool_of_programs(caller: Any) -> dict[str, list[Program]]:
    """Both versions, by pin. Without a caller they are only good for replays."""
    caller = caller or ModelCaller(None)  # type: ignore[arg-type]
    return {
        pin(name): Application("simulation", ".", code).programs(caller, InPlace(), version=pin(name))
        for name, code in VERSIONS.items()
    }
