"""What the sender is told, and what is told about the sender."""

from __future__ import annotations

import asyncio
import json

import pytest

from rco.errors import Overloaded, StoreError
from rco.model.decision import Verb
from rco.model.delivery import Receipt


async def test_a_signed_request_is_accepted(edge) -> None:
    answer = await edge.ask(edge.request())
    assert answer.status == 202
    assert answer.json == {"accepted": True, "corr_id": answer.header("x-corr-id")}
    assert len(answer.header("x-corr-id")) == 26
    (delivery,) = edge.deliveries
    assert (delivery.provider, delivery.secret_id, delivery.event.id) == ("acme", "main", "msg_1")
    assert delivery.event.corr_id == answer.header("x-corr-id")
    assert edge.decisions == []
    assert edge.metric('svc_interop_webhook_verify_total{provider="acme",result="ok"}') == 1
    assert edge.metric('rco_requests_total{code="202"}') == 1


async def test_a_repeat_is_told_the_first_correlation_id(edge) -> None:
    request = edge.request()
    first, again = await edge.ask(request), await edge.ask(request)
    assert again.status == 202
    assert again.json == {"accepted": True, "duplicate": True, "corr_id": first.json["corr_id"]}
    assert again.header("x-corr-id") != first.header("x-corr-id")


@pytest.mark.parametrize("sent", ["order-7-abcdefgh", "01M7YW3W024T9A7VA2J1C8ND6M", "a" * 64])
async def test_a_well_formed_correlation_id_is_kept(edge, sent) -> None:
    answer = await edge.ask(edge.request(edge.signed(edge_body(), ("X-Corr-ID", sent))))
    assert (answer.header("x-corr-id"), answer.json["corr_id"]) == (sent, sent)
    assert edge.deliveries[0].event.corr_id == sent


@pytest.mark.parametrize(
    "sent",
    ["", "short", "a" * 65, "a" * 10_000, "two words are not one", 'quote"quote"', "tab\tinside-it", "ünïcödé-id"],
)
async def test_any_other_is_replaced_and_never_reflected(edge, sent) -> None:
    good = await edge.ask(edge.request(edge.signed(edge_body(), ("X-Corr-ID", sent))))
    bad = await edge.ask(edge.request([("Host", "a"), ("X-Corr-ID", sent)]))
    for answer in (good, bad):
        assert len(answer.header("x-corr-id")) == 26
        assert not sent or sent not in answer.body.decode()
    assert not sent or sent not in edge.log_text.getvalue()


async def test_a_correlation_id_cannot_carry_a_line_end(edge) -> None:
    for inside in ("\r\nSet-Cookie: a=b", "\nSet-Cookie: a=b", "\r Set-Cookie: a=b", "\0"):
        wire = await edge.connect()
        await wire.send(edge.request(edge.signed(edge_body(), ("X-Corr-ID", "abcdefgh" + inside + "ijklmnop"))))
        said = (await wire.answer()).headers
        assert all(name != "set-cookie" and "ijklmnop" not in value for name, value in said)


async def test_two_correlation_ids_are_none(edge) -> None:
    twice = [("X-Corr-ID", "first-of-two"), ("X-Corr-ID", "second-of-two")]
    answer = await edge.ask(edge.request(edge.signed(edge_body(), *twice)))
    assert (answer.status, answer.reason) == (400, "MALFORMED")
    assert len(answer.header("x-corr-id")) == 26


def edge_body() -> bytes:
    return b'{"type":"invoice.paid","customer":"Zaphod Beeblebrox"}'


async def test_every_refusal_leaves_one_decision_one_count_and_one_line(edge) -> None:
    headers = [pair for pair in edge.signed() if pair[0] != "webhook-signature"]
    answer = await edge.ask(edge.request([*headers, ("webhook-signature", "v1," + "A" * 43 + "=")]))
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    assert answer.json["error"] == "The request could not be authenticated."
    (decision,) = edge.decisions
    assert (decision.verb, decision.allow, decision.subject) == (Verb.REFUSE, False, "acme")
    assert (decision.reason, decision.corr_id) == ("sig_mismatch", answer.header("x-corr-id"))
    assert decision.facts["latency_bucket"].startswith("le_")
    assert decision.facts == {"reason": "UNAUTH", "status": 401, "latency_bucket": decision.facts["latency_bucket"]}
    assert len(decision.b3) == 67
    assert edge.metric('svc_interop_rejected_total{reason="UNAUTH"}') == 1
    assert edge.metric("svc_interop_auth_failures_total") == 1
    assert edge.metric('svc_interop_webhook_verify_total{provider="acme",result="sig_mismatch"}') == 1
    (line,) = [json.loads(text) for text in edge.log_text.getvalue().splitlines()]
    assert (line["event"], line["detail"], line["provider"]) == ("webhook.refused", "sig_mismatch", "acme")
    assert line["corr_id"] == answer.header("x-corr-id")


async def test_nothing_secret_and_nothing_of_the_payload_is_told(edge) -> None:
    good = edge.signed()
    signature = dict(good)["webhook-signature"]
    for request in (
        edge.request([*good, ("webhook-signature", signature)]),
        edge.request([*good, ("Authorization", "Bearer hunter2hunter2")], b'{"customer":"Zaphod Beeblebrox"}'),
        edge.request(path="/webhooks/Zaphod"),
        edge.request(method="Zaphod"),
    ):
        answer = await edge.ask(request)
        assert answer.status >= 400
        told = answer.body.decode() + edge.log_text.getvalue() + repr(edge.decisions) + edge.metrics.render().decode()
        for hidden in ("Zaphod", "hunter2", signature, signature[3:20], "0123456789abcdef"):
            assert hidden not in told
    assert len(edge.decisions) == 4


async def test_the_line_is_rate_limited_the_decision_is_not(edge) -> None:
    wire = await edge.connect()
    for _ in range(120):
        await wire.send(edge.request([("Host", "a"), ("Content-Type", "application/json")]))
        assert (await wire.answer()).status == 401
    assert len(edge.decisions) == 120
    assert 50 <= len(edge.log_text.getvalue().splitlines()) < 120


@pytest.mark.parametrize(
    ("raised", "status", "reason", "detail", "retry_after"),
    [
        (Overloaded("full", retry_after_s=7), 429, "BACKPRESSURE", "overloaded", "7"),
        (Overloaded("full", retry_after_s=0.2), 429, "BACKPRESSURE", "overloaded", "1"),
        (Overloaded("full", retry_after_s=1e9), 429, "BACKPRESSURE", "overloaded", "3600"),
        (StoreError("disk of Zaphod is full"), 503, "DOWNSTREAM_UNAVAILABLE", "store_error", "1"),
        (RuntimeError("a bug near Zaphod"), 500, "INTERNAL", "internal", None),
    ],
)
async def test_what_the_sender_is_told_of_our_own_trouble(edge, raised, status, reason, detail, retry_after) -> None:
    async def fail(_) -> Receipt:
        raise raised

    edge.answer_with = fail
    answer = await edge.ask(edge.request())
    assert (answer.status, answer.reason, answer.header("retry-after")) == (status, reason, retry_after)
    assert edge.decisions[0].reason == detail
    assert "Zaphod" not in answer.body.decode() + edge.log_text.getvalue()
    assert (edge.turnstile.inflight, edge.turnstile.held_bytes) == (0, 0)
    edge.answer_with = None
    assert (await edge.ask(edge.request())).status == 202


async def test_draining_refuses_what_is_new_and_ends_what_is_inside(edge) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def slow(delivery) -> Receipt:
        inside.set()
        await go.wait()
        return Receipt(False, delivery.event.corr_id)

    edge.answer_with = slow
    first = asyncio.create_task(edge.ask(edge.request()))
    await inside.wait()
    edge.ingress.drain()
    answer = await edge.ask(edge.request())
    assert (answer.status, answer.reason, answer.header("retry-after")) == (503, "BACKPRESSURE", "1")
    go.set()
    assert (await first).status == 202


async def test_stopping_while_a_body_is_awaited_is_no_timeout(run_edge) -> None:
    edge = await run_edge(drain_timeout_s=0.1, read_timeout_s=60.0)
    wire = await edge.connect()
    headers = [*edge.signed(), ("Content-Length", "54"), ("Expect", "100-continue")]
    await wire.send(edge.request(headers, b"", length=False))
    await wire.reader.readuntil(b"100 Continue\r\n\r\n")
    await edge.listener.stop()
    assert b"408" not in await wire.closed()
    assert (edge.decisions, edge.turnstile.inflight) == ([], 0)


async def test_the_deadline_is_for_the_body_not_for_the_store(run_edge) -> None:
    edge = await run_edge(read_timeout_s=0.05)

    async def slow(delivery) -> Receipt:
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.3)
        return Receipt(False, delivery.event.corr_id)

    edge.answer_with = slow
    assert (await edge.ask(edge.request())).status == 202


async def test_too_many_inside_are_refused_before_the_body(run_edge) -> None:
    edge = await run_edge(limits={"inflight": 2})
    inside, go = asyncio.Semaphore(0), asyncio.Event()

    async def slow(delivery) -> Receipt:
        inside.release()
        await go.wait()
        return Receipt(False, delivery.event.corr_id)

    edge.answer_with = slow
    held = [asyncio.create_task(edge.ask(edge.request())) for _ in range(2)]
    await inside.acquire()
    await inside.acquire()
    wire = await edge.connect()
    await wire.send(edge.request(edge.signed(b"x" * 50_000, ("Content-Length", "50000")), b"", length=False))
    answer = await wire.answer()
    assert (answer.status, answer.reason) == (429, "BACKPRESSURE")
    assert edge.metric("svc_interop_busy_rejections_total") == 1
    go.set()
    assert [answer.status for answer in await asyncio.gather(*held)] == [202, 202]
    assert edge.turnstile.inflight == 0


async def test_over_the_rate_is_429_with_the_time_to_wait(run_edge) -> None:
    edge = await run_edge(limits={"rate_per_s": 0.01, "burst": 1})
    assert (await edge.ask(edge.request())).status == 202
    answer = await edge.ask(edge.request())
    assert (answer.status, answer.reason) == (429, "RATE_LIMIT")
    assert 90 <= int(answer.header("retry-after")) <= 100
    assert edge.metric('svc_interop_quota_exhaustions_total{scope="rate_instance"}') == 1
    assert len(edge.deliveries) == 1


async def test_many_requests_share_a_connection(edge) -> None:
    wire = await edge.connect()
    requests = [edge.request(edge.signed(edge_body(), message_id=f"msg_{n}")) for n in range(20)]
    for request in requests[:10]:
        await wire.send(request)
        assert (await wire.answer()).status == 202
    await wire.send(b"".join(requests[10:]))
    assert [(await wire.answer()).status for _ in range(10)] == [202] * 10
    assert [delivery.event.id for delivery in edge.deliveries] == [f"msg_{n}" for n in range(20)]


async def test_chunked_bodies_are_put_together(edge) -> None:
    body = edge_body()
    head = edge.request([*edge.signed(body), ("Transfer-Encoding", "chunked")], b"", length=False)
    wire = await edge.connect()
    await wire.send(head)
    for at in range(0, len(body), 7):
        part = body[at : at + 7]
        await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
    await wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 202
    assert edge.deliveries[0].event.data == body
