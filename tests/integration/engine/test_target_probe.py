"""A target that declares a probe: its calls in doubt are settled by asking a real server, with no word in the code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from rco.egress.client import Egress
from rco.engine import probing
from rco.kit.backoff import Backoff
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.model.target import Rule, Target, TargetProbe
from rco.telemetry.metrics import Metrics
from rco.workflow import Context, workflow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "BACKOFF", Backoff(first_s=0.01, cap_s=0.01))


class Shop:
    """Takes orders, and loses the answer to the first."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.tries, self.does, self.asked = 0, True, []
        self.answer: Callable[[str], web.Response] = self.found

    def found(self, reference: str) -> web.Response:
        return web.json_response({"items": [one for one in self.orders if one["reference"] == reference]})

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.json()
        order = {"number": 7, "reference": request.headers.get("X-Reference", ""), "order": body["order"]}
        if self.does or self.tries > 1:
            self.orders.append(order)
        if self.tries == 1:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(3600)
        return web.json_response(order)

    async def look(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        return self.answer(request.query.get("reference", ""))


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_post("/orders", shop.take)
    app.router.add_get("/orders", shop.look)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    yield shop
    await runner.cleanup()


def target(shop: Any, **more: Any) -> Target:
    settings = {
        "get": "/orders?reference={idempotency_key}",
        "reference_header": "X-Reference",
        "applied": ".items | length > 0",
        "value": ".items[0]",
        "grace_s": 0.05,
    }
    return Target(
        name="shop",
        base_url=shop.url,
        allow=[Rule(["GET", "POST"], "/orders")],
        allow_private=["127.0.0.0/8"],
        idempotency_header=None,
        probe=TargetProbe(**{**settings, **more}),
    )


@workflow
async def order(ctx: Context, given: str) -> Any:
    return (await ctx.call("shop", "POST", "/orders", json={"order": given})).body


@pytest.fixture
async def calls(node, shop: Shop) -> AsyncIterator[Callable[..., Any]]:
    made: list[Egress] = []

    async def start(**more: Any) -> None:
        clock = SystemClock()
        egress = Egress(
            [target(shop, **more)], clock=clock, ids=Ids(clock), resolve_secret=lambda _: "", metrics=Metrics()
        )
        await egress.start()
        made.append(egress)
        node.caller = egress
        await node.start(order)

    yield start
    for egress in made:
        await egress.stop()


async def settled(node, run_id: bytes) -> list[dict[str, Any]]:
    return [record.body for record in await node.journal(run_id) if record.kind == Kind.SETTLED]


async def test_what_was_done_is_found_by_its_reference_and_not_done_again(node, shop, calls) -> None:
    await calls()
    run_id = await node.open(order, "A-1")
    finished = await node.end(run_id)
    assert finished.outcome is Outcome.COMPLETED
    [made] = shop.orders
    assert finished.value == made
    assert made["reference"]
    assert shop.tries == 1
    assert shop.asked == [f"/orders?reference={made['reference']}"]
    [verdict] = await settled(node, run_id)
    assert (verdict["verdict"], verdict["actor"]) == ("done", "probe")


async def test_what_was_not_done_is_done_once_its_grace_is_over(node, shop, calls) -> None:
    shop.does = False
    await calls()
    run_id = await node.open(order, "A-1")
    assert (await node.end(run_id)).value["order"] == "A-1"
    assert (shop.tries, len(shop.orders)) == (2, 1)
    assert [one["verdict"] for one in await settled(node, run_id)] == ["again"]


async def test_a_status_says_that_it_was_not_done(node, shop, calls) -> None:
    shop.does = False
    shop.answer = lambda _: web.Response(status=404)
    await calls(absent="failed")
    run_id = await node.open(order, "A-1")
    assert (await node.end(run_id)).outcome is Outcome.FAILED
    assert [one["verdict"] for one in await settled(node, run_id)] == ["failed"]


async def test_another_status_tells_nothing_and_a_person_decides(node, shop, calls) -> None:
    shop.answer = lambda _: web.Response(status=503)
    await calls(attempts=2)
    run_id = await node.open(order, "A-1")

    async def given_up() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row.mode is Mode.IN_DOUBT and len(shop.asked) >= 2

    await node.until(given_up)
    assert await settled(node, run_id) == []
    assert shop.tries == 1


async def test_only_the_declared_statuses_are_believed(node, shop, calls) -> None:
    answers = iter((202, 200, 200, 200))
    shop.answer = lambda reference: web.json_response({"items": [{"number": 7}]}, status=next(answers))
    await calls(done=[200])
    run_id = await node.open(order, "A-1")
    assert (await node.end(run_id)).value == {"number": 7}
    assert len(shop.asked) == 2


async def test_a_field_of_the_call_is_asked_by(node, shop, calls) -> None:
    await calls(get="/orders?reference={body.order}")
    shop.answer = lambda reference: web.json_response({"items": [{"by": reference}]})
    run_id = await node.open(order, "A 1&x=/")
    assert (await node.end(run_id)).value == {"by": "A 1&x=/"}


async def test_the_probe_of_a_target_is_asked_after_a_crash_too(node, shop, calls) -> None:
    await calls()
    gate = asyncio.Event()
    shop.answer = lambda reference: shop.found(reference) if gate.is_set() else web.Response(status=500)
    run_id = await node.open(order, "A-1")

    async def doubted() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.IN_DOUBT

    await node.until(doubted)
    gate.set()
    await node.again(order)
    assert (await node.end(run_id)).value["number"] == 7
    assert shop.tries == 1
