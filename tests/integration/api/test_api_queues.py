"""/v1/queues as a client meets it, and runs that wait."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rco.errors import Forbidden, NotFound, Refused
from rco.model.wire_queues import QueueSeat


async def state(served: Any, run_id: str) -> str:
    return (await served.viewer.run(run_id)).state


async def until_state(served: Any, run_id: str, wanted: str) -> None:
    async with asyncio.timeout(20):
        while await state(served, run_id) != wanted:
            pass


async def test_runs_wait_are_listed_and_go_on(served: Any) -> None:
    first = await served.operator.start("ask", queue="slow", fair_key="big")
    await until_state(served, first.id, "running")
    second = await served.operator.start("ask", queue="slow", fair_key="small", priority=2)
    assert [one.id for one in (await served.viewer.runs(state="queued")).items] == [second.id]
    view = await served.viewer.run(second.id)
    assert (view.state, view.error) == ("queued", None)
    assert view.queue == QueueSeat(queue="slow", fair_key="small", priority=2)
    queue = await served.viewer.queues.show("slow")
    assert (queue.concurrency, queue.per_key_concurrency, queue.waiting_limit) == (1, 1, 1_000_000)
    assert (queue.waiting, queue.running, queue.held, queue.paused, queue.declared) == (1, 1, 0, False, True)
    assert queue.oldest_s is not None
    assert [(one.fair_key, one.priority, one.waiting, one.weight) for one in queue.keys] == [("small", 2, 1, 1)]
    assert [one.name for one in (await served.viewer.queues.list()).items] == ["slow"]
    await served.operator.signal(first.id, "answer", 1)
    await until_state(served, second.id, "running")
    shown = await served.viewer.run(second.id)
    assert [one.kind for one in shown.timeline][:2] == ["start", "begin"]
    assert shown.timeline[1].note == "its turn in queue slow"
    await served.operator.signal(second.id, "answer", 2)
    assert (await served.viewer.wait(second.id, timeout_s=10)).result == 2
    again = await served.viewer.queues.show("slow")
    assert (again.waiting, again.running, again.oldest_s) == (0, 0, None)


async def test_a_queue_is_paused_and_resumed(served: Any) -> None:
    queues = served.operator.queues
    with pytest.raises(Forbidden):
        await served.viewer.queues.pause("slow")
    with pytest.raises(NotFound, match="no queue named 'other'"):
        await queues.pause("other")
    paused = await queues.pause("slow", "the bank is down")
    assert (paused.paused, paused.paused_by, paused.reason) == (True, "principal:operator", "the bank is down")
    waits = await served.operator.start("greet", "you", queue="slow")
    assert await state(served, waits.id) == "queued"
    assert (await queues.pause("slow", "still")).reason == "still"
    assert (await queues.resume("slow")).paused is False
    assert (await served.viewer.wait(waits.id, timeout_s=10)).result == {"hello": "you"}
    reader = served.service._desk.reader
    seals = await reader.seals(1, 1000)
    said = [one for seal in seals for one in json.loads(seal.decisions) if one["verb"] == "queue"]
    assert [(one["facts"]["paused"], one.get("reason", "")) for one in said] == [
        (True, "the bank is down"),
        (True, "still"),
        (False, ""),
    ]


async def test_a_run_that_waits_is_paused_resumed_and_cancelled(served: Any) -> None:
    first = await served.operator.start("ask", queue="slow")
    await until_state(served, first.id, "running")
    waits = await served.operator.start("ask", queue="slow")
    await served.operator.pause(waits.id, "not now")
    await until_state(served, waits.id, "paused")
    assert (await served.viewer.queues.show("slow")).held == 1
    await served.operator.resume(waits.id)
    await until_state(served, waits.id, "queued")
    await served.operator.pause(waits.id)
    await until_state(served, waits.id, "paused")
    await served.operator.cancel(waits.id, "never mind")
    closed = await served.viewer.wait(waits.id, timeout_s=10)
    assert (closed.state, closed.error["message"]) == ("cancelled", "never mind")


async def test_what_no_queue_knows_is_refused(served: Any) -> None:
    with pytest.raises(Refused, match="no queue named 'other' is declared"):
        await served.operator.start("greet", queue="other")
    status, _, body = await served.call("POST", "/v1/runs", json={"workflow": "greet", "queue": "slow", "priority": 10})
    assert (status, b"priority" in body) == (400, True)


async def test_its_metrics_have_the_declared_names(served: Any) -> None:
    run = await served.operator.start("greet", "you", queue="slow", fair_key="a-customer")
    await served.viewer.wait(run.id, timeout_s=10)
    async with asyncio.timeout(10):
        # Who waits may see in the store that it has closed before its node has been told of that commit.
        while 'rco_queue_running{queue="slow"} 0.0' not in (text := served.service.metrics.render().decode()):
            await asyncio.sleep(0.01)
    assert 'rco_queue_started_total{queue="slow"} 1.0' in text
    assert 'rco_queue_waiting{queue="slow"} 0.0' in text
    assert 'rco_queue_wait_seconds_count{queue="slow"} 1.0' in text
    assert "a-customer" not in text
