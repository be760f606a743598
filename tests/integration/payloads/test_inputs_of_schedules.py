"""Inputs of schedules that are too large for a row: one object for the schedule and all its runs."""

from __future__ import annotations

import pytest
from tests.integration.payloads.conftest import BIG, WORD, Large, refers
from tests.integration.payloads.test_by_reference import anywhere as anywhere  # noqa: PLC0414 - the same fixture

from rco.errors import Misuse, PayloadErased, Unreachable
from rco.kit.ids import id_text
from rco.model.run import Mode
from rco.model.schedule import ScheduleSpec
from rco.model.wire_namespace_keys import NamespaceKeyAsk
from rco.operations.schedule_make import add_schedule
from rco.scheduler.body import schedule_of

pytestmark = pytest.mark.timeout(120)

OFTEN = ScheduleSpec(workflow="inner", input={"text": BIG}, every_s=1, overlap="allow")
NEVER = ScheduleSpec(workflow="inner", input={"text": BIG}, every_s=86_400, overlap="allow")


async def closed(world: Large, workflow: str, count: int) -> list[str]:
    found: list[str] = []

    async def enough() -> bool:
        nonlocal found
        rows = [row for row in await world.rows() if row.workflow == workflow and row.mode is Mode.CLOSED]
        found = [id_text(row.run_id) for row in rows]
        return len(found) >= count

    await world.until(enough)
    return found


async def test_the_schedule_and_its_runs_refer_to_one_object(anywhere: Large) -> None:
    world, client = anywhere, anywhere.client
    made = await client.schedules.create("s", OFTEN)
    assert made.spec == OFTEN
    row = await world.service._keeper.reader.schedule_named("default", "s")
    assert row is not None
    assert row.payload is not None
    assert WORD.encode() * 3 not in row.body
    runs = await closed(world, "inner", 2)
    await client.schedules.pause("s")
    inputs = set()
    for run_id in runs[:2]:
        assert refers(await world.stored(run_id))
        start = (await world.raw(run_id))[0].body["input"]
        inputs.add(bytes(start.data))
        assert (await client.run(run_id)).result == {"text": BIG}
    assert len(inputs) == 1, "one object for all"
    assert (await client.schedules.show("s")).spec == OFTEN
    # Nothing of it is lost over a restart, and what looks after objects knows of all of it.
    await world.again()
    await world.client.schedules.trigger("s")
    await closed(world, "inner", len(runs) + 1)
    swept = await world.client.payloads.gc(preview=True)
    assert (swept.waiting, swept.removed) == (0, 0)


async def test_an_input_that_was_replaced_is_used_by_nobody(anywhere: Large) -> None:
    client = anywhere.client
    await client.schedules.create("s", NEVER)
    assert (await client.payloads.gc(preview=True)).used == 1
    await client.schedules.pause("s", "a change that keeps the input")
    assert (await client.payloads.gc(preview=True)).used == 1
    await client.schedules.replace("s", ScheduleSpec(workflow="inner", input={"text": BIG + "!"}, every_s=86_400))
    swept = await client.payloads.gc(preview=True)
    assert (swept.used, swept.waiting) == (1, 1)
    await client.schedules.delete("s")
    swept = await client.payloads.gc(preview=True)
    assert (swept.used, swept.waiting) == (0, 2)


async def test_the_time_of_a_tick_makes_an_object_of_its_own(large: Large) -> None:
    spec = ScheduleSpec(workflow="publishes", input={"text": BIG}, tick_field="due", every_s=1, overlap="skip")
    await large.client.schedules.create("s", spec)

    async def waits() -> bool:
        return any(row.mode is not Mode.CLOSED for row in await large.rows())

    await large.until(waits)
    run_id = id_text((await large.rows())[0].run_id)
    await large.rests(run_id)
    given = (await large.records(run_id))[0].body["input"]
    assert given["text"] == BIG
    assert given["due"].startswith("20")
    assert refers(await large.stored(run_id))
    assert len(await large.keys()) == 3, "the schedule's input, the run's, and the state that it published"


async def test_what_is_due_waits_for_the_object_store(large: Large) -> None:
    await large.client.schedules.create("s", NEVER)
    large.away()
    await large.client.schedules.trigger("s")
    told = await large.client.schedules.show("s")
    assert told.spec.input["by_reference"]["size_bytes"] > len(BIG)
    with pytest.raises(Unreachable):
        await large.client.schedules.create("t", NEVER)
    assert [row for row in await large.rows() if row.workflow == "inner"] == []
    large.back()
    (run_id,) = await closed(large, "inner", 1)
    assert (await large.client.run(run_id)).result == {"text": BIG}


async def test_one_larger_than_the_row_and_one_larger_than_an_input(large: Large) -> None:
    spec = ScheduleSpec(workflow="inner", input={"text": "x" * 600_000}, every_s=86_400)
    assert (await large.client.schedules.create("s", spec)).spec == spec
    desk = large.service._desk
    huge = ScheduleSpec(workflow="inner", input={"text": "x" * 2_000_000}, every_s=86_400)
    with pytest.raises(Misuse, match="the limit is"):
        await add_schedule(desk, "default", "t", huge, "api", "test")


async def test_its_key_erased_nothing_of_it_can_be_read(unstarted: Large) -> None:
    unstarted.encrypted = True
    await unstarted.start()
    try:
        client, service = unstarted.client, unstarted.service
        await client.namespace_keys.create(NamespaceKeyAsk(namespace="default", reason="it is law"))
        await client.schedules.create("s", NEVER)
        assert all(WORD.encode() not in path.read_bytes() for path in unstarted.objects())
        row = await service._desk.reader.schedule_named("default", "s")
        assert row is not None
        reference = schedule_of(row).spec.input
        assert await service._desk.engine.fetch(reference) == {"text": BIG}
        await client.namespace_keys.erase(NamespaceKeyAsk(namespace="default", reason="they asked"))
        with pytest.raises(PayloadErased):
            await service._desk.engine.fetch(reference)
    finally:
        await unstarted.stop()
