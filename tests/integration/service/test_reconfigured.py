"""A reload that took effect is an event: to subscriptions, to who follows, and to brokers; nothing secret is in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import World

from rco.errors import ConfigInvalid
from rco.relay.topics import AUDIT, CONFIG, TOPICS, messages_of

NOTICED = """
from rco.workflow import Context, workflow

@workflow(on="config.updated.v1")
async def noticed(ctx: Context, event: dict) -> dict:
    return {"source": event["source"], **event["data"]}
"""


async def _noticed(world: World, count: int) -> list[dict[str, Any]]:
    async def closed() -> bool:
        return len([row for row in await world.rows(workflow="noticed") if row.closed_us]) >= count

    await world.until(closed)
    rows = sorted(await world.rows(workflow="noticed"), key=lambda row: row.opened_us)
    return [(await world.service._desk.engine.result(row.run_id, 20)).value for row in rows]


async def test_each_reload_is_one_event_with_what_changed_and_nothing_secret(world: World) -> None:
    (world.folder / "app.py").write_text(NOTICED)
    settings = world.settings()
    await world.service.reload(settings)
    assert settings.targets["cushioned"].fallback is not None
    fallback = msgspec.structs.replace(settings.targets["cushioned"].fallback, body={"pin": "hunter2"})
    fresh = msgspec.structs.replace(
        settings,
        limits=msgspec.structs.replace(settings.limits, burst_rps=77),
        targets={
            **settings.targets,
            "cushioned": msgspec.structs.replace(settings.targets["cushioned"], fallback=fallback),
        },
    )
    await world.service.reload(fresh)
    # The application came with the first: its event finds who subscribes already.
    first, second = await _noticed(world, 2)
    assert (first["source"], first["changed"], first["changes"]) == ("/svc-interop", 0, [])
    assert second["changes"] == [
        {"key": "limits.burst_rps", "before": 250, "after": 77},
        {"key": "targets.cushioned.fallback.body", "before": "***", "after": "***"},
    ]
    assert (second["changed"], second["whole"]) == (2, True)
    decisions = await world.decisions()
    assert "hunter2" not in str(decisions)
    updated = [one for one in decisions if one["verb"] == "config" and one["reason"] == "updated"]
    assert [one["facts"]["changed"] for one in updated] == [0, 2]
    assert all(one["event"] and one["corr_id"] for one in updated)
    page = await world.client.tail(topic="svc-interop", since_s=600)
    assert [item.type for item in page.items].count(CONFIG) == 2


async def test_what_is_told_to_brokers_is_the_same(world: World) -> None:
    settings = world.settings()
    limits = msgspec.structs.replace(settings.limits, burst_rps=77)
    await world.service.reload(msgspec.structs.replace(settings, limits=limits))

    async def told() -> list[dict[str, Any]]:
        seals = await world.service._desk.reader.seals(1, 100_000)
        messages = [message for seal in seals for message in messages_of("", seal, TOPICS)]
        return [msgspec.json.decode(message.body) for message in messages if message.topic == CONFIG]

    await world.until(told)
    [message] = await told()
    assert message["type"] == CONFIG
    assert msgspec.json.decode(message["data"]["facts"]["diff"]) == [
        {"key": "limits.burst_rps", "before": 250, "after": 77}
    ]
    # The decisions of single settings are audit only.
    seals = await world.service._desk.reader.seals(1, 100_000)
    topics = [message.topic for seal in seals for message in messages_of("", seal, (CONFIG, AUDIT))]
    assert topics.count(CONFIG) == 1


async def test_a_reload_that_is_refused_is_no_event(world: World) -> None:
    settings = world.settings()
    with pytest.raises(ConfigInvalid):
        await world.service.reload(
            msgspec.structs.replace(settings, amnesia=msgspec.structs.replace(settings.amnesia, enabled=True))
        )
    limits = msgspec.structs.replace(settings.limits, burst_rps=77)
    await world.service.reload(msgspec.structs.replace(settings, limits=limits))

    async def told() -> bool:
        return any(one["verb"] == "config" and one["reason"] == "updated" for one in await world.decisions())

    await world.until(told)
    assert sum(one["verb"] == "config" and one["reason"] == "updated" for one in await world.decisions()) == 1


async def test_a_diff_that_is_long_is_cut_and_says_so(world: World) -> None:
    settings = world.settings()
    many = {f"day{n}": ["2026-12-25"] * 4 for n in range(600)}
    await world.service.reload(msgspec.structs.replace(settings, calendars=many))

    async def told() -> list[dict[str, Any]]:
        return [one for one in await world.decisions() if one["verb"] == "config" and one["reason"] == "updated"]

    await world.until(told)
    [said] = await told()
    assert said["facts"]["changed"] == 600
    assert said["facts"]["whole"] is False
    assert 1000 < len(said["facts"]["diff"]) <= 16 << 10
