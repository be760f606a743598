"""Messages to endpoints that are too large for a row: kept once with their event, sent whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import Downstream
from tests.integration.webhooks.conftest import Hooked, Receiver

from rco.config.settings import Settings
from rco.kit.ids import id_bytes
from rco.model.payload import holds_reference
from rco.model.wire_endpoints import ReplayMany, TestAsk
from rco.payloads.options import PayloadOptions

WORD = "Magrathea "
BIG = WORD * 500


class Weighty(Hooked):
    def settings(self, **more: Any) -> Settings:
        payloads = PayloadOptions(object_store_over_bytes=1024, timeout_s=5, gc_every_s=3600, gc_grace_s=60)
        return msgspec.structs.replace(super().settings(**more), payloads=payloads)

    def objects(self) -> list[Path]:
        return [path for path in (self.folder / "data" / "objects").glob("payload/**/*") if path.is_file()]

    async def stored(self, run_id: str) -> bytes:
        return b"".join(one.data for one in await self.service._keeper.reader.journal(id_bytes(run_id)))


@pytest.fixture
async def weighty(tmp_path: Path) -> AsyncIterator[Weighty]:
    downstream, receiver = Downstream(), Receiver()
    await downstream.start()
    await receiver.start()
    world = Weighty(tmp_path, downstream, receiver)
    await world.start()
    yield world
    await world.stop()
    await receiver.stop()
    await downstream.stop()


async def test_an_event_and_its_deliveries_refer_to_one_object(weighty: Weighty) -> None:
    first = (await weighty.endpoint(path="/one")).endpoint.id
    second = (await weighty.endpoint(path="/two")).endpoint.id
    await weighty.accepted("evt-1", {"text": BIG})
    done = [await weighty.closed(one) for one in (first, second)]
    bodies = [msgspec.json.decode(body) for _, _, body in weighty.receiver.seen]
    assert [body["data"]["data"]["text"] for body in bodies] == [BIG, BIG]
    assert len(weighty.objects()) == 1, "the event's data, which both messages refer to"
    for (one,) in done:
        data = await weighty.stored(one.id)
        assert holds_reference(data)
        assert WORD.encode() * 3 not in data
        assert (one.type, one.state) == ("order.paid", "completed")
        assert one.message_id.startswith("msg_")
    swept = await weighty.client.payloads.gc(preview=True)
    assert (swept.used, swept.waiting) == (1, 0)


async def test_what_is_delivered_again_refers_to_the_same_object(weighty: Weighty) -> None:
    endpoint = (await weighty.endpoint()).endpoint.id
    await weighty.accepted("evt-2", {"text": BIG})
    (one,) = await weighty.closed(endpoint)
    await weighty.client.endpoints.replay(endpoint, one.id)
    await weighty.closed(endpoint, 2)
    await weighty.client.endpoints.replay_many(endpoint, ReplayMany(all=True, reason="they lost it"))
    every = await weighty.closed(endpoint, 4)
    assert {found.message_id for found in every} == {one.message_id}
    assert {body for _, _, body in weighty.receiver.seen} == {weighty.receiver.seen[0][2]}
    assert len(weighty.objects()) == 1


async def test_a_test_message_is_kept_too(weighty: Weighty) -> None:
    endpoint = (await weighty.endpoint()).endpoint.id
    made = await weighty.client.endpoints.test(endpoint, TestAsk(type="order.try", data={"text": BIG}))
    (one,) = await weighty.closed(endpoint)
    assert (one.id, one.type) == (made.id, "order.try")
    assert WORD.encode() * 3 not in await weighty.stored(made.id)
    assert msgspec.json.decode(weighty.receiver.seen[0][2])["data"]["text"] == BIG
