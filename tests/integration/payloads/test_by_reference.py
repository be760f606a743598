"""Large payloads of every kind are in the object store and nowhere else, and whoever reads them meets the payload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.integration.payloads.conftest import BIG, WORD, Large, refers
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

from rco.errors import Unreachable
from rco.kit.ids import id_bytes
from rco.model.journal import Kind
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.model.run import Mode
from rco.model.wire import ForkRun
from rco.objects.options import ObjectOptions

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=["sqlite-folder", "sqlite-s3", "postgres-folder", "postgres-s3"])
async def anywhere(request: pytest.FixtureRequest, unstarted: Large) -> AsyncIterator[Large]:
    store, _, objects = request.param.partition("-")
    if store == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        unstarted.dsn = server.dsn(server.database())
    if objects == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        unstarted.place = ObjectOptions(
            place=f"s3://{s3.bucket}/{unstarted.folder.name}",
            endpoint=s3.endpoint,
            access_key_id="env:KEY",
            secret_access_key="env:SECRET",
        )
    elif store == "postgres":
        unstarted.place = ObjectOptions(place=f"file:{unstarted.objects_folder}")
    await unstarted.start()
    yield unstarted
    await unstarted.stop()


async def test_every_kind_of_payload(anywhere: Large) -> None:
    world, client = anywhere, anywhere.client
    hearing = await client.start("hears", {})
    started = await client.start("all_kinds", {"text": BIG, "n": 7})

    await world.rests(started.id)
    await client.signal(started.id, "more", {"text": BIG})
    result = {"step": BIG + BIG, "plain": BIG, "child": BIG, "sent": BIG, "n": 7}
    assert await world.end(started.id) == result
    assert await world.end(hearing.id) == {"heard": BIG}
    # Not a word of it stands in the journal, the inbox or the row.
    data = await world.stored(started.id)
    assert refers(data)
    assert refers(await world.stored(hearing.id))
    row = await world.service._keeper.reader.run(id_bytes(started.id))
    assert row is not None
    assert row.detail is not None
    assert WORD.encode() not in row.detail
    # Whoever reads meets the payload.
    assert (await client.run(started.id)).result == result
    kinds = {record.kind: record for record in await world.records(started.id)}
    assert kinds[Kind.START].body["input"]["text"] == BIG
    assert kinds[Kind.CLOSE].body[1] == result
    told = (await client.events(type="big.told")).items
    assert (await client.event(told[0].id)).data == {"text": BIG}
    # A webhook with such data: the event once, and the run that it starts, refer to one object.
    before = set(await world.keys())
    status, _ = await world.send("big-1", "order.big", {"text": BIG})
    assert status == 202

    async def begun() -> bool:
        return any(row.workflow == "begins" and row.mode is Mode.CLOSED for row in await world.rows())

    await world.until(begun)
    begins = next(row for row in await world.rows() if row.workflow == "begins")
    from rco.kit.ids import id_text

    assert (await client.run(id_text(begins.run_id))).result == {"text": BIG}
    assert len(set(await world.keys()) - before) == 2, "the event's data, and the run's result"
    # After a restart the same is read and replayed from the objects alone.
    again = await client.start("steps", {"text": BIG})

    await world.rests(again.id)
    done = world.doubled
    await world.again()
    assert (await world.client.run(started.id)).result == result
    await world.client.signal(again.id, "go", None)
    assert await world.end(again.id) == 2 * len(BIG)
    assert world.doubled == done, "a step that is done was done again"
    seen = await world.client.payloads.gc(preview=True)
    assert (seen.removed, seen.waiting) == (0, 0), "everything that there is is in use"
    assert seen.used == len(await world.keys())


async def test_a_service_starts_while_the_bucket_is_away_and_runs_what_needs_it_not(
    unstarted: Large, s3: S3Server
) -> None:
    proxy = Proxy(int(s3.endpoint.rpartition(":")[2]))
    await proxy.start()
    world = unstarted
    world.place = ObjectOptions(
        place=f"s3://{s3.bucket}/{world.folder.name}",
        endpoint=f"http://127.0.0.1:{proxy.port}",
        access_key_id="env:KEY",
        secret_access_key="env:SECRET",
    )
    await world.start()
    try:
        large = [(await world.client.start("steps", {"text": BIG})).id for _ in range(3)]
        small = (await world.client.start("steps", {"text": "s"})).id
        await world.rests(*large, small)
        await world.stop()
        proxy.refuse = True
        await world.start()
        for run_id in (*large, small):
            await world.client.signal(run_id, "go", None)
        assert await world.end(small) == 2
        assert [(await world.client.run(run_id)).state for run_id in large] == ["running"] * 3
        # One of them is ended by force: that needs no payload.
        await world.client.terminate(large[2], "it is not wanted any more")
        assert (await world.client.run(large[2])).state == "terminated"
        proxy.refuse = False
        for run_id in large[:2]:
            assert await world.end(run_id) == 2 * len(BIG)
        assert world.doubled == 4
    finally:
        await world.stop()
        await proxy.stop()


async def test_small_payloads_stay_where_they_were(large: Large) -> None:
    started = await large.client.start("all_kinds", {"text": "small", "n": 1})
    await large.client.signal(started.id, "more", {"text": "small"})
    assert (await large.end(started.id))["sent"] == "small"
    assert large.objects() == []


async def test_failures_keep_their_code_and_their_text(large: Large) -> None:
    started = await large.client.start("fails", {"text": BIG})
    await large.end(started.id)
    view = await large.client.run(started.id)
    assert view.state == "failed"
    assert view.error is not None
    assert BIG[:1000] in view.error["message"]
    (row,) = await large.rows(code=view.error["code"])
    assert WORD.encode() not in (row.detail or b"")


async def test_a_start_that_cannot_be_kept_is_refused_and_can_be_sent_again(large: Large) -> None:
    large.away()
    for _ in range(2):
        with pytest.raises(Unreachable, match="object store is away"):
            await large.client.start("steps", {"text": BIG}, key="k")
    status, body = await large.send("big-2", "order.big", {"text": BIG})
    assert (status, body["reason"]) == (503, "DOWNSTREAM_UNAVAILABLE")
    # What is small is none of its business.
    small = await large.client.start("fails", {"text": "small"})
    await large.end(small.id)
    large.back()
    assert (await large.client.start("steps", {"text": BIG}, key="k")).created
    assert not (await large.client.start("steps", {"text": BIG}, key="k")).created
    status, _ = await large.send("big-2", "order.big", {"text": BIG})
    assert status == 202


async def test_a_result_waits_for_the_object_store_and_its_step_is_not_done_again(large: Large) -> None:
    small = "y" * 600  # doubled it is too large, itself it is not
    large.away()
    started = await large.client.start("steps", {"text": small})

    await large.keeps()
    assert b"rco_payloads_waiting 1.0" in large.service.metrics.render()
    assert large.doubled == 1
    large.back()
    await large.client.signal(started.id, "go", None)
    assert await large.end(started.id) == 1200
    assert large.doubled == 1
    assert len(large.objects()) == 1


async def test_a_result_that_waits_at_a_stop_is_written_inline(large: Large) -> None:
    large.away()
    started = await large.client.start("steps", {"text": "y" * 600})

    await large.keeps()
    await large.stop()
    large.back()
    await large.start()
    assert b"y" * 1200 in await large.stored(started.id)
    await large.client.signal(started.id, "go", None)
    assert await large.end(started.id) == 1200
    assert large.doubled == 1, "a step that is done was done again"


async def test_a_payload_that_was_changed_blocks_its_run_and_nothing_else(large: Large) -> None:
    started = await large.client.start("steps", {"text": BIG})

    await large.rests(started.id)
    await large.stop()
    for path in large.objects():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    await large.start()

    async def blocked() -> bool:
        return (await large.client.run(started.id)).state == "blocked"

    await large.until(blocked)
    view = await large.client.run(started.id)
    assert view.error is not None
    assert view.error["cause"] == "evidence_broken"
    assert [one.kind for one in view.timeline][:1] == ["start"], "its timeline needs no payload"
    other = await large.client.start("fails", {"text": BIG})
    await large.end(other.id)


async def test_a_fork_takes_over_what_its_original_refers_to(large: Large) -> None:
    started = await large.client.start("forks", {"text": BIG})
    assert await large.end(started.id) == 2 * len(BIG) + 2
    before = large.objects()
    fork = await large.client.fork(started.id, ForkRun(step="second"))
    assert await large.end(fork.id) == 2 * len(BIG) + 2
    assert large.objects() == before, "nothing is kept twice"
    assert refers(await large.stored(fork.id))
    assert large.doubled == 3
    # The original goes, and what the fork refers to stays.
    seen = await large.service._keeper.reader.payloads_used([bytes.fromhex(path.name) for path in before])
    assert len(seen) == len(before)


async def test_a_paused_run_lets_go_of_what_it_was_keeping(large: Large) -> None:
    large.away()
    started = await large.client.start("all_kinds", {"text": "z" * 900, "n": 1})

    await large.keeps()
    await large.client.pause(started.id)
    large.back()

    async def paused() -> bool:
        return (await large.client.run(started.id)).state == "paused"

    await large.until(paused)
    await large.client.resume(started.id)
    await large.client.signal(started.id, "more", {"text": "small"})
    assert (await large.end(started.id))["plain"] == "z" * 900
    assert large.doubled == 1


async def test_no_payload_is_in_the_bucket_as_it_is_and_an_erased_key_takes_them_along(unstarted: Large) -> None:
    from rco.model.wire_namespace_keys import NamespaceKeyAsk

    unstarted.encrypted = True
    await unstarted.start()
    try:
        client = unstarted.client
        await client.namespace_keys.create(NamespaceKeyAsk(namespace="default", reason="it is law"))
        hearing = await client.start("hears", {})
        started = await client.start("all_kinds", {"text": BIG, "n": 7})
        await client.signal(started.id, "more", {"text": BIG})
        assert (await unstarted.end(started.id))["sent"] == BIG
        assert await unstarted.end(hearing.id) == {"heard": BIG}
        assert len(unstarted.objects()) >= 6

        def found() -> list[str]:
            files = [path for path in (unstarted.folder / "data").rglob("*") if path.is_file()]
            return [path.name for path in files if WORD.encode() in path.read_bytes()]

        assert found() == []
        await unstarted.again()
        assert (await unstarted.client.run(started.id)).result["plain"] == BIG
        await unstarted.client.namespace_keys.erase(NamespaceKeyAsk(namespace="default", reason="they asked"))
        view = await unstarted.client.run(started.id)
        assert view.result is None
        assert view.error is not None
        assert view.error["code"] == "payload_erased"
        assert found() == []
    finally:
        await unstarted.stop()


async def test_without_the_setting_what_is_kept_stays_readable(large: Large) -> None:
    started = await large.client.start("steps", {"text": BIG})
    await large.client.signal(started.id, "go", None)
    await large.end(started.id)
    count = len(large.objects())
    large.payloads = msgspec.structs.replace(large.payloads, object_store_over_bytes=0)
    await large.again()
    records = await large.records(started.id)
    assert records[0].body["input"] == {"text": BIG}
    other = await large.client.start("steps", {"text": BIG})
    await large.client.signal(other.id, "go", None)
    await large.end(other.id)
    assert len(large.objects()) == count
    assert (await large.client.payloads.gc(preview=True)).used == count


async def test_what_a_crash_or_retention_left_is_collected(large: Large) -> None:
    started = await large.client.start("steps", {"text": BIG})
    await large.rests(started.id)
    store = large.service._desk.engine._referring._payloads
    for _ in range(3):
        await store.keep("default", BIG.encode())
    gc = large.service._desk.payload_gc
    clock = large.service._desk.clock.now_us
    first = await large.client.payloads.gc()
    assert (first.used, first.waiting, first.removed) == (2, 3, 0)
    assert (await large.client.payloads.show()) == first
    # An hour later.
    swept = await gc._sweeper.look(clock() + 3600 * 1_000_000, 60.0)
    assert (swept.used, swept.removed, swept.removed_bytes) == (2, 3, 3 * len(BIG))
    await large.client.signal(started.id, "go", None)
    assert await large.end(started.id) == 2 * len(BIG)
    assert len(large.objects()) == 2


async def test_what_retention_dropped_is_collected_and_what_it_kept_stays(large: Large) -> None:
    large.retention = RetentionOptions(
        classes={"gone": RetentionClass(keep_s=0.001)}, runs=[RunRule(keep="gone", workflow="fails")]
    )
    await large.again()
    kept = await large.client.start("steps", {"text": BIG})
    await large.client.signal(kept.id, "go", None)
    await large.end(kept.id)
    for _ in range(3):
        await large.end((await large.client.start("fails", {"text": BIG})).id)
    assert len(large.objects()) == 2 + 3 * 2
    assert sum(line.count for line in (await large.client.retention.run()).lines if line.kind == "runs") == 3
    sweeper, now_us = large.service._desk.payload_gc._sweeper, large.service._desk.clock.now_us()
    first = await sweeper.look(now_us, 60.0)
    assert (first.used, first.waiting, first.removed) == (2, 6, 0)
    later = await sweeper.look(now_us + 3600 * 1_000_000, 60.0)
    assert (later.used, later.waiting, later.removed) == (2, 0, 6)
    assert len(large.objects()) == 2
    await large.again()
    assert (await large.client.run(kept.id)).result == 2 * len(BIG)
    assert (await large.records(kept.id))[0].body["input"] == {"text": BIG}


async def test_many_large_steps_side_by_side_hold_up_nobody(large: Large) -> None:
    """The small ones are done while the object store takes its time over the large ones."""
    ids = [(await large.client.start("steps", {"text": BIG})).id for _ in range(20)]
    for run_id in ids:
        await large.client.signal(run_id, "go", None)
    assert await asyncio.gather(*map(large.end, ids)) == [2 * len(BIG)] * 20
    assert (await large.client.payloads.gc(preview=True)).used == 40


async def test_a_published_state(anywhere: Large) -> None:
    world, client = anywhere, anywhere.client
    started = await client.start("publishes", {"text": BIG})
    await world.rests(started.id)
    assert refers(await world.stored(started.id))
    shown = [record for record in await world.records(started.id) if record.kind == Kind.STATE]
    assert [record.body for record in shown] == [["shown", {"text": BIG}]]
    assert len(await world.keys()) == 2, "the input and the state"
    # It is replayed from the object, and forked with a reference to the same.
    await world.again()
    await world.client.signal(started.id, "go", None)
    assert await world.end(started.id) == len(BIG)
    swept = await world.client.payloads.gc(preview=True)
    assert (swept.used, swept.waiting, swept.removed) == (2, 0, 0)


async def test_a_state_waits_for_the_object_store_and_is_written_once(large: Large) -> None:
    started = await large.client.start("publishes", {"text": BIG})
    await large.rests(started.id)
    # The first was kept; of the next one the input is, and then the store is away.
    gate = asyncio.Event()
    store = large.service._desk.payload_gc._sweeper._objects
    begin, puts = store.begin, 0

    async def held() -> object:
        nonlocal puts
        puts += 1
        if puts == 2:
            await gate.wait()
        return await begin()

    store.begin = held
    other = await large.client.start("publishes", {"text": BIG})
    await large.keeps()
    assert all(record.kind != Kind.STATE for record in await large.records(other.id))
    gate.set()
    await large.rests(other.id)
    assert refers(await large.stored(other.id))
    assert sum(record.kind == Kind.STATE for record in await large.records(other.id)) == 1
