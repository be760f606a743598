"""Events become signed webhooks: verified by the public library, retried, logged, disabled, replayed."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace
from standardwebhooks import Webhook, WebhookVerificationError

from rco.errors import Conflict, NotFound, Refused
from rco.model.wire_endpoints import CreateEndpoint, PatchEndpoint, ReplayMany, RotateAsk, TestAsk


async def test_an_event_is_delivered_once_and_verifies(hooked):
    made = await hooked.endpoint("order.*", "order.paid", path="/hook/a?token=t1")
    assert made.secret.startswith("whsec_")
    first = await hooked.send("e1", "order.paid", {"order": 7})
    again = await hooked.send("e1", "order.paid", {"order": 7})
    assert (first[0], again[0]) == (202, 202)
    await hooked.send("e2", "invoice.paid", {"order": 8})
    [delivery] = await hooked.closed(made.endpoint.id)
    assert delivery.state == "completed"
    [(path, headers, body)] = hooked.receiver.seen
    assert path == "/hook/a?token=t1"
    told = Webhook(made.secret).verify(body.decode(), headers)
    assert told["type"] == "order.paid"
    assert told["data"]["data"] == {"order": 7}
    assert headers["webhook-id"] == delivery.message_id
    [attempt] = delivery.attempts
    assert attempt["status"] == 204
    assert "token" not in attempt["request"]["url"]
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(body.decode() + " ", headers)


async def test_an_emitted_event_is_delivered_by_ed25519(hooked):
    made = await hooked.endpoint("rco.endpoint.test.*", signing="v1a")
    assert made.secret.startswith("whpk_")
    await hooked.client.endpoints.test(made.endpoint.id, TestAsk(data={"a": 1}))
    await hooked.closed(made.endpoint.id)
    [(_, headers, body)] = hooked.receiver.seen
    kind, _, text = headers["webhook-signature"].partition(",")
    assert kind == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(made.secret.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key.verify(base64.b64decode(text), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(text), signed + b" ")


async def test_failures_are_retried_and_every_attempt_is_logged(hooked):
    made = await hooked.endpoint()
    secret = {"error": "no", "password": "hunter2", "text": "x" * 5000}
    hooked.receiver.answers = [web.json_response(secret, status=500), None, web.Response(status=302)]
    await hooked.send("e1", "order.paid", {"order": 7})
    [delivery] = await hooked.closed(made.endpoint.id)
    assert delivery.state == "completed"
    assert [one["status"] for one in delivery.attempts] == [500, 0, 302, 204]
    assert delivery.attempts[1]["reason"] == "timeout"
    assert "hunter2" not in json.dumps(delivery.attempts)
    assert len(delivery.attempts[0]["body"]) == 1024
    assert len({headers["webhook-id"] for _, headers, _ in hooked.receiver.seen}) == 1
    assert len(hooked.receiver.seen) == 4
    assert (await hooked.client.endpoints.show(made.endpoint.id)).failing_since is None


async def test_when_no_attempt_is_left_it_fails_and_is_replayed(hooked):
    made = await hooked.endpoint()
    hooked.receiver.always = 503
    await hooked.send("e1", "order.paid", {"order": 7})
    [delivery] = await hooked.closed(made.endpoint.id)
    assert (delivery.state, len(delivery.attempts)) == ("failed", 4)
    assert (await hooked.client.endpoints.show(made.endpoint.id)).failing_since is not None
    hooked.receiver.always = 200
    started = await hooked.client.endpoints.replay(made.endpoint.id, delivery.id, key="k")
    same = await hooked.client.endpoints.replay(made.endpoint.id, delivery.id, key="k")
    assert (started.created, same.created, same.id) == (True, False, started.id)
    newest, _ = await hooked.closed(made.endpoint.id, 2)
    assert (newest.state, newest.replay_of, newest.message_id) == ("completed", delivery.id, delivery.message_id)


async def test_retry_after_is_kept(hooked):
    made = await hooked.endpoint()
    hooked.receiver.answers = [web.Response(status=429, headers={"Retry-After": "1"})]
    await hooked.send("e1", "order.paid", {"order": 7})
    [delivery] = await hooked.closed(made.endpoint.id)
    first, second = delivery.attempts
    assert first["retry_after_s"] == 1
    assert first["wait_s"] >= 1
    assert second["status"] == 204


async def test_gone_disables_at_once_with_a_notice(hooked):
    made = await hooked.endpoint()
    notice = await hooked.endpoint("rco.endpoint.*", path="/notices")
    hooked.receiver.answers = [web.Response(status=410)]
    await hooked.send("e1", "order.paid", {"order": 7})
    [delivery] = await hooked.closed(made.endpoint.id)
    assert (delivery.state, len(delivery.attempts)) == ("failed", 1)
    shown = await hooked.client.endpoints.show(made.endpoint.id)
    assert (shown.state, shown.cause, shown.disabled_by) == ("disabled", "gone", delivery.id)
    await hooked.closed(notice.endpoint.id)
    told = json.loads(hooked.receiver.seen[-1][2])
    assert told["type"] == "rco.endpoint.disabled.v1"
    assert (told["data"]["endpoint"], told["data"]["cause"]) == (made.endpoint.id, "gone")
    found = [one for one in await hooked.decisions() if one["verb"] == "endpoint" and one.get("reason") == "gone"]
    assert len(found) == 1
    # Nothing is sent to it any more, but a test is.
    before = len(hooked.receiver.seen)
    await hooked.send("e2", "order.paid", {"order": 8})
    with pytest.raises(Conflict):
        await hooked.client.endpoints.replay(made.endpoint.id, delivery.id)
    await hooked.client.endpoints.test(made.endpoint.id)
    await hooked.closed(made.endpoint.id, 2)
    assert len(hooked.receiver.seen) == before + 1
    shown = await hooked.client.endpoints.enable(made.endpoint.id)
    assert (shown.state, shown.cause) == ("enabled", "")
    await hooked.send("e3", "order.paid", {"order": 9})
    await hooked.closed(made.endpoint.id, 3)


async def test_failing_for_long_disables(hooked):
    made = await hooked.endpoint()
    store = hooked.service._desk.reader
    stands = await store.endpoint(made.endpoint.id)
    long_ago = hooked.service._clock.now_us() - 6 * 86_400 * 1_000_000
    assert await store.swap_endpoint(replace(stands, version=stands.version + 1, failing_since_us=long_ago))
    hooked.receiver.always = 500
    await hooked.send("e1", "order.paid", {"order": 7})
    [delivery] = await hooked.closed(made.endpoint.id)
    assert (delivery.state, len(delivery.attempts)) == ("failed", 1)
    shown = await hooked.client.endpoints.show(made.endpoint.id)
    assert (shown.state, shown.cause) == ("disabled", "failing")


async def test_both_secrets_sign_in_the_grace_and_one_after(hooked):
    made = await hooked.endpoint()
    turned = await hooked.client.endpoints.rotate(made.endpoint.id)
    assert turned.secret != made.secret
    await hooked.client.endpoints.test(made.endpoint.id)
    await hooked.closed(made.endpoint.id)
    _, headers, body = hooked.receiver.seen[0]
    for secret in (made.secret, turned.secret):
        Webhook(secret).verify(body.decode(), headers)
    last = await hooked.client.endpoints.rotate(made.endpoint.id, RotateAsk(grace_s=0))
    assert [one.expires_at for one in last.endpoint.secrets] == [None]
    await hooked.client.endpoints.test(made.endpoint.id)
    await hooked.closed(made.endpoint.id, 2)
    _, headers, body = hooked.receiver.seen[1]
    Webhook(last.secret).verify(body.decode(), headers)
    for secret in (made.secret, turned.secret):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body.decode(), headers)


async def test_private_addresses_are_refused_on_the_socket(hooked):
    await hooked.stop()
    settings = hooked.settings
    hooked.settings = lambda **more: replace(settings(**more), webhooks=replace(settings().webhooks, allow_private=[]))
    await hooked.start()
    made = await hooked.endpoint()
    await hooked.client.endpoints.test(made.endpoint.id)
    [delivery] = await hooked.closed(made.endpoint.id)
    assert delivery.state == "failed"
    assert delivery.attempts[0]["status"] == 0
    assert hooked.receiver.seen == []


async def test_ordered_deliveries_of_a_key_go_one_after_the_other(hooked):
    made = await hooked.endpoint(order_by=".data.data.order")
    hooked.receiver.answers = [web.Response(status=500), web.Response(status=500)]
    for number in range(4):
        await hooked.send(f"e{number}", "order.paid", {"order": 7, "number": number})
    found = await hooked.closed(made.endpoint.id, 4)
    assert {one.state for one in found} == {"completed"}
    numbers = [json.loads(body)["data"]["data"]["number"] for _, _, body in hooked.receiver.seen]
    assert numbers == [0, 0, 0, 1, 2, 3]


async def test_many_are_replayed_as_a_bulk_after_a_look(hooked):
    made = await hooked.endpoint()
    hooked.receiver.always = 400
    for number in range(3):
        await hooked.send(f"e{number}", "order.paid", {"order": number})
    await hooked.closed(made.endpoint.id, 3)
    hooked.receiver.always = 200
    assert (await hooked.client.endpoints.preview_replay(made.endpoint.id, ReplayMany())).count == 3
    early = ReplayMany(before="2020-01-01T00:00:00Z")
    assert (await hooked.client.endpoints.preview_replay(made.endpoint.id, early)).count == 0
    started = await hooked.client.endpoints.replay_many(made.endpoint.id, ReplayMany(rate_per_s=100))
    await hooked.end(started.id)
    found = await hooked.closed(made.endpoint.id, 6)
    assert sorted(one.state for one in found) == ["completed"] * 3 + ["failed"] * 3
    assert {one.message_id for one in found[:3]} == {one.message_id for one in found[3:]}


async def test_what_waits_survives_a_stop_and_goes_to_the_new_address(hooked):
    await hooked.stop()
    hooked.options = {"retry_s": [1.0]}
    await hooked.start()
    made = await hooked.endpoint()
    hooked.receiver.answers = [web.Response(status=500)]
    await hooked.send("e1", "order.paid", {"order": 7})
    await asyncio.wait_for(hooked.receiver.arrived.wait(), 10)
    await hooked.client.endpoints.change(made.endpoint.id, PatchEndpoint(url=hooked.receiver.url + "/moved"))
    await hooked.again()
    [delivery] = await hooked.closed(made.endpoint.id)
    assert delivery.state == "completed"
    assert hooked.receiver.seen[-1][0] == "/moved"
    Webhook(made.secret).verify(hooked.receiver.seen[-1][2].decode(), hooked.receiver.seen[-1][1])


async def test_a_deleted_one_is_gone_with_its_secrets(hooked):
    made = await hooked.endpoint()
    await hooked.client.endpoints.delete(made.endpoint.id)
    with pytest.raises(NotFound):
        await hooked.client.endpoints.show(made.endpoint.id)
    assert (await hooked.client.endpoints.list()).items == []
    stands = await hooked.service._desk.reader.endpoint(made.endpoint.id)
    assert (stands.url, stands.secrets) == ("", ())
    await hooked.send("e1", "order.paid", {"order": 7})
    assert await hooked.all_deliveries() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.com/"},
        {"url": "https://user:word@example.com/"},
        {"url": "https://example.com/#a"},
        {"url": "https://example.com/?a=1&a=2"},
        {"types": ["a*b"]},
        {"order_by": ".data["},
        {"secret": "env:NOBODY"},
        {"secret": "env:SHOP_SHORT"},
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused(hooked, wrong):
    given = {"url": "https://example.com/hook", "types": ["a"]} | wrong
    with pytest.raises(Refused):
        await hooked.client.endpoints.create(CreateEndpoint(**given))


async def test_a_secret_by_reference_signs_and_is_never_told(hooked):
    from tests.integration.service.conftest import SECRET

    made = await hooked.endpoint(secret="env:SHOP")
    assert made.secret == ""
    await hooked.client.endpoints.test(made.endpoint.id)
    await hooked.closed(made.endpoint.id)
    _, headers, body = hooked.receiver.seen[0]
    Webhook(SECRET).verify(body.decode(), headers)


async def test_no_secret_stands_in_the_store(hooked):
    made = await hooked.endpoint()
    bare = made.secret.removeprefix("whsec_").encode()
    await hooked.client.endpoints.test(made.endpoint.id)
    await hooked.closed(made.endpoint.id)
    await hooked.stop()
    stored = b"".join(path.read_bytes() for path in (hooked.folder / "data").glob("rco.db*"))
    assert made.endpoint.id.encode() in stored
    assert bare not in stored
    assert base64.b64decode(bare) not in stored
    await hooked.start()
