"""One trace from the webhook to the last call, as a collector sees it; and nothing that waits for the collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.integration.service.collector import Collector, Seen
from tests.integration.service.conftest import Downstream, World

from rco import __version__
from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.kit.ids import id_bytes
from rco.telemetry import signals
from rco.telemetry.trace import span_id_of
from rco.telemetry.tracing_options import TracingOptions

STORY = """
from rco.errors import CallFailed
from rco.workflow import Context, workflow

async def weigh(order: str) -> int:
    return len(order)

async def spill(order: str) -> int:
    raise ValueError("visa-4111 of " + order)

@workflow(on="order.placed")
async def sell(ctx: Context, event: dict) -> dict:
    order = event["data"]["data"]["order"]
    await ctx.step(weigh, order)
    await ctx.call("stock", "POST", "/reservations/{order}".format(order=order), json={"card_number": "visa-4111"})
    await ctx.child("ship", {"order": order})
    await ctx.emit("order.sold", {"order": order})
    return {"order": order}

@workflow
async def ship(ctx: Context, what: dict) -> str:
    await ctx.call("stock", "GET", "/labels")
    return "on its way"

@workflow(on="order.sold")
async def thank(ctx: Context, event: dict) -> str:
    await ctx.call("stock", "GET", "/thanks")
    return "thanked"

@workflow
async def fails(ctx: Context, order: str) -> str:
    await ctx.step(spill, order, attempts=2)
    return "never"

@workflow
async def waits(ctx: Context, order: str) -> str:
    await ctx.signal("go")
    await ctx.call("stock", "GET", "/labels")
    return "gone"
"""
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced(World):
    environ: Mapping[str, str] = {**World.environ, "OTLP": "Bearer b-7"}

    def __init__(self, folder: Path, downstream: Downstream, tracing: TracingOptions) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(STORY)
        self.tracing = tracing

    def settings(self, **more: Any) -> Settings:
        return replace(super().settings(tracing=self.tracing, **more), subscriptions=[])

    def counted(self, outcome: str) -> float:
        return self.service.metrics.counter(signals.SPANS, outcome=outcome).value


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Any]:
    downstream = Downstream()
    await downstream.start()
    worlds: list[Traced] = []

    async def begin(**options: Any) -> Traced:
        worlds.append(Traced(tmp_path, downstream, TracingOptions(enabled=True, every_s=0.05, **options)))
        await worlds[-1].start()
        return worlds[-1]

    yield begin
    for world in worlds:
        await world.stop()
    await downstream.stop()


def named(spans: list[Seen], name: str) -> Seen:
    (found,) = [one for one in spans if one.name == name]
    return found


async def test_from_the_webhook_to_the_last_call(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url, headers={"authorization": "env:OTLP"}, service_name="shop-rco")
    world.downstream.answers = [(503, {}), (201, {"ok": True})]
    body, headers = world.signed("m-1", "order.placed", {"order": "o-17"})
    status, told = await world.post(body, {**headers, "traceparent": CALLER})
    assert status == 202
    spans = await collector.until(lambda spans: sum(one.name.startswith("run ") for one in spans) == 3)

    assert {one.trace_id for one in spans} == {CALLER[3:35]}, "one story, one trace"
    door, sell = named(spans, "POST /webhooks/shop"), named(spans, "run sell")
    assert (door.kind, door.parent_id) == ("server", CALLER[36:52])
    assert door.attributes["rco.event.type"] == "order.placed"
    assert door.attributes["rco.corr_id"] == told["corr_id"]
    assert sell.parent_id == door.span_id
    assert sell.attributes["rco.outcome"] == "completed"
    assert sell.error == ""
    assert sell.span_id == span_id_of(id_bytes(sell.attributes["rco.run.id"]))
    assert named(spans, "step weigh").parent_id == sell.span_id
    ship, thank = named(spans, "run ship"), named(spans, "run thank")
    assert ship.parent_id == sell.span_id
    assert ship.attributes["rco.run.parent"] == sell.attributes["rco.run.id"]
    assert thank.parent_id == sell.span_id, "what an event of the run starts belongs under the run"

    first, second = sorted((one for one in spans if one.name == "POST /**"), key=lambda one: one.began_ns)
    assert (first.kind, first.parent_id, first.error) == ("client", sell.span_id, "status_5xx")
    assert first.attributes["http.response.status_code"] == 503
    assert second.attributes["http.response.status_code"] == 201
    assert second.attributes["http.request.resend_count"] == 1
    assert second.error == ""
    # What the other side was told is the very span of the attempt.
    sent = [headers["traceparent"] for _, _, headers, _ in world.downstream.seen]
    calls = [one for one in spans if one.kind == "client"]
    assert sorted(sent) == sorted(f"00-{one.trace_id}-{one.span_id}-01" for one in calls)
    assert len(sent) == 4
    assert {one.parent_id for one in calls} == {sell.span_id, ship.span_id, thank.span_id}

    for one in spans:
        assert one.began_ns <= one.ended_ns
        assert one.resource["service.name"] == "shop-rco"
        assert one.resource["service.version"] == __version__
        assert one.scope == ("rco", __version__)
    assert all(one["Authorization"] == "Bearer b-7" for one in collector.headers)
    everything = repr(spans)
    assert "visa-4111" not in everything, "no payload"
    assert "o-17" not in everything, "no path with its values"


async def test_a_webhook_without_a_trace_begins_one(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url)
    await world.send("m-1", "order.placed", {"order": "o-1"})
    await world.send("m-2", "order.placed", {"order": "o-2"})
    await world.send("m-2", "order.placed", {"order": "o-2"})
    spans = await collector.until(
        lambda spans: (
            sum(one.name.startswith("run ") for one in spans) == 6 and sum(one.kind == "server" for one in spans) == 3
        )
    )
    doors = [one for one in spans if one.kind == "server"]
    assert len({one.trace_id for one in doors}) == 3
    assert {one.parent_id for one in doors} == {""}
    again = [one for one in doors if one.attributes.get("rco.duplicate")]
    assert len(again) == 1
    assert sum(one.trace_id == again[0].trace_id for one in spans) == 1, "a repeat starts nothing"
    for door in doors:
        if door not in again:
            # The door, three runs, a step, three calls.
            assert sum(one.trace_id == door.trace_id for one in spans) == 8


async def test_a_run_that_an_operator_starts_begins_a_trace_or_goes_on_in_theirs(
    collector: Collector, place: Any
) -> None:
    world = await place(endpoint=collector.url)
    url, token = world.service.url, (world.folder / "data" / "admin.token").read_text().strip()
    ask = {"workflow": "ship", "input": {}}
    for more in ({}, {"traceparent": CALLER}):
        async with world.session.post(
            f"{url}/v1/runs", json=ask, headers={"authorization": f"Bearer {token}", **more}
        ) as response:
            assert response.status == 201
    spans = await collector.until(lambda spans: sum(one.name == "run ship" for one in spans) == 2)
    theirs, ours = sorted(
        (one for one in spans if one.name == "run ship"), key=lambda one: one.trace_id != CALLER[3:35]
    )
    doors = {one.trace_id: one for one in spans if one.name == "start ship"}
    assert doors[theirs.trace_id].parent_id == CALLER[36:52]
    assert theirs.trace_id == CALLER[3:35]
    assert doors[ours.trace_id].parent_id == ""
    assert ours.trace_id != CALLER[3:35]
    for run in (theirs, ours):
        door = doors[run.trace_id]
        assert (run.parent_id, door.kind) == (door.span_id, "server")
        assert door.attributes["rco.run.id"] == run.attributes["rco.run.id"]
    assert {one.parent_id for one in spans if one.kind == "client"} == {theirs.span_id, ours.span_id}


async def test_a_failure_says_which_kind_and_nothing_of_what_was_in_it(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url)
    started = await world.client.start("fails", "o-17")
    spans = await collector.until(lambda spans: any(one.name == "run fails" for one in spans))
    run = named(spans, "run fails")
    assert run.error == "step_failed"
    assert run.attributes["error.type"] == "step_failed"
    assert run.attributes["rco.run.id"] == started.id
    assert run.attributes["rco.outcome"] == "failed"
    steps = [one for one in spans if one.name == "step spill"]
    assert [one.error for one in steps] == ["ValueError"] * 2
    assert [one.attributes.get("rco.attempt") for one in steps] == [None, 2]
    assert "4111" not in repr([one.attributes for one in spans])
    assert "o-17" not in repr(spans)


async def test_a_run_that_is_ended_by_force_has_its_span(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url)
    started = await world.client.start("waits", "o-1")
    await world.client.terminate(started.id, reason="no longer wanted")
    spans = await collector.until(lambda spans: any(one.name == "run waits" for one in spans))
    assert named(spans, "run waits").error == "terminated"


async def test_a_run_goes_on_under_its_span_after_a_restart(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url)
    started = await world.client.start("waits", "o-1")
    await world.again()
    await world.client.signal(started.id, "go", {})
    spans = await collector.until(lambda spans: any(one.name == "run waits" for one in spans))
    run = named(spans, "run waits")
    assert run.span_id == span_id_of(id_bytes(str(started.id)))
    assert [one.parent_id for one in spans if one.kind == "client"] == [run.span_id]


async def test_what_is_not_sampled_is_passed_on_as_such(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url, sample_ratio=0.0)
    await world.send("m-1", "order.placed", {"order": "o-1"})
    await world.until(lambda: _seen(world, 3))
    assert all(headers["traceparent"].endswith("-00") for _, _, headers, _ in world.downstream.seen)
    # Who asks for a record gets one.
    body, headers = world.signed("m-2", "order.placed", {"order": "o-2"})
    await world.post(body, {**headers, "traceparent": CALLER})
    spans = await collector.until(lambda spans: sum(one.name.startswith("run ") for one in spans) == 3)
    assert {one.trace_id for one in spans} == {CALLER[3:35]}


async def _seen(world: Traced, count: int) -> bool:
    return len(world.downstream.seen) >= count


async def test_a_collector_that_is_away_holds_nobody_up(place: Any, unused_tcp_port: int) -> None:
    world = await place(endpoint=f"http://127.0.0.1:{unused_tcp_port}", queue=4, timeout_s=0.2)
    for number in range(5):
        status, _ = await world.send(f"m-{number}", "order.placed", {"order": f"o-{number}"})
        assert status == 202
    await world.until(lambda: _seen(world, 15))
    await world.until(lambda: _lost(world))


async def _lost(world: Traced) -> bool:
    return world.counted("full") > 0 and world.counted("refused") > 0


async def test_a_collector_that_is_busy_is_asked_again_and_what_it_refuses_is_counted(
    collector: Collector, place: Any
) -> None:
    world = await place(endpoint=collector.url)
    collector.statuses = [503, 200]
    await world.client.start("ship", {})
    spans = await collector.until(lambda spans: any(one.name == "run ship" for one in spans))
    assert len(spans) == 3
    assert len(collector.headers) >= 2
    collector.statuses = [400]
    await world.client.start("ship", {})
    await world.until(lambda: _refused(world))


async def _refused(world: Traced) -> bool:
    return world.counted("refused") > 0


async def test_a_stop_sends_what_waits(collector: Collector, place: Any) -> None:
    world = await place(endpoint=collector.url)
    started = await world.client.start("ship", {})
    await world.end(started.id)
    await world.stop()
    assert {one.name for one in collector.spans} == {"start ship", "run ship", "GET /**"}
    await world.start()


async def test_without_it_all_calls_of_a_story_are_one_trace_all_the_same(world: World) -> None:
    await world.send("m-1", "order.paid", {"order": "o-1"})
    await world.send("m-2", "order.paid", {"order": "o-2"})
    run = await world.call(target="stock", method="GET", path="/a")
    await world.end(run)
    await world.until(lambda: _told(world, 3))
    traces = [headers["traceparent"][3:35] for _, _, headers, _ in world.downstream.seen]
    assert len(set(traces)) == 3
    kept = {str(row.run_id.hex()): row for row in await world.rows()}
    assert len(kept) == 3


async def _told(world: World, count: int) -> bool:
    return len(world.downstream.seen) >= count


async def test_the_library_is_asked_for_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rco.assembly.tracing as tracing

    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    downstream = Downstream()
    await downstream.start()
    world = Traced(tmp_path, downstream, TracingOptions(enabled=True))
    with pytest.raises(ConfigInvalid, match=r"tracing\.enabled.*not installed"):
        await world.start()
    await asyncio.gather(downstream.stop())
