"""The real service unwell: it says so everywhere, refuses writes, answers reads, and gets well by itself."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from rco.bridge import brownout
from rco.bridge.brownout import BrownoutSettings, BrownoutThresholds
from rco.model.subscription import Subscription
from rco.store.contract.reader import RunFilter

NERVOUS = BrownoutSettings(thresholds=BrownoutThresholds(upstream_p95_ms=0.001))


async def ready(world: Any) -> tuple[int, dict[str, Any], str]:
    url = world.service.metrics_url + "/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json(), response.headers.get("retry-after", "")


async def metrics(world: Any, start: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(world.service.metrics_url + "/metrics") as response:
        (line,) = [line for line in (await response.text()).splitlines() if line.startswith(start)]
    return float(line.rsplit(" ", 1)[1])


async def browned_out(world: Any) -> bool:
    status, told, _ = await ready(world)
    return status == 503 and "brownout_bridge" in told["missing"]


async def well(world: Any) -> bool:
    return (await ready(world))[0] == 200


async def test_it_begins_is_told_and_ends_by_itself(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(brownout, "CALM_S", 1.0)
    monkeypatch.setattr(brownout, "PROBE_EVERY_S", 1e9)
    settings = world.settings()
    tells = Subscription(name="tells", workflow="asks", type="interop.bridge.brownout.v1")
    settings = msgspec.structs.replace(settings, subscriptions=[*settings.subscriptions, tells])
    await world.until(lambda: well(world))
    await world.service.reload(msgspec.structs.replace(settings, brownout=NERVOUS))
    number = 0
    while not await browned_out(world):  # every commit is slower than a microsecond
        number += 1
        await world.send(f"msg_{number}", "order.none", {})
        assert number < 5000
    status, told, retry_after = await ready(world)
    assert (status, told["degraded"], told["missing"], told["retry_after"]) == (503, True, ["brownout_bridge"], 5)
    assert retry_after == "5"
    assert await metrics(world, "svc_interop_brownout_active") == 1
    status, told = await world.send("msg_late", "order.none", {})
    assert (status, told["reason"]) == (503, "BACKPRESSURE")
    # Who never sends again goes in, and reads are answered.
    assert (await forge(world))[0] == 202
    assert len((await world.client.events()).items) > 0
    # It is an event like any other: durable, and somebody may have subscribed.
    await world.until(lambda: told_of(world, 1))
    await world.service.reload(settings)
    await world.until(lambda: well(world))
    assert await metrics(world, "svc_interop_brownout_active") == 0
    assert (await world.send("msg_late", "order.none", {}))[0] == 202
    await world.until(lambda: told_of(world, 2))
    said = [one for one in await world.decisions() if one["verb"] == "brownout"]
    assert [(one["reason"], one["facts"]["causes"]) for one in said] == [("begins", "upstream_p95"), ("ends", "")]


async def told_of(world: Any, times: int) -> bool:
    runs = await world.service._desk.reader.runs(RunFilter(workflow="asks"))
    return len(runs) == times


async def forge(world: Any) -> tuple[int, dict[str, Any]]:
    from githubkit.webhooks import sign
    from tests.integration.service.conftest import SECRET

    body = b'{"zen":"Keep it logically awesome."}'
    headers = {"content-type": "application/json", "x-github-event": "ping"}
    headers["x-hub-signature-256"] = sign(SECRET, body, method="sha256")
    return await world.post(body, headers, "forge")
