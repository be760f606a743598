"""One attempt, from the request on the wire to what is kept of the answer."""

import asyncio
import traceback

import msgspec
import pytest
from tests.integration.egress.rig import ATTEMPT, SECRET, TRACE_ID, Names, Rig, ask, bad, good, reply

from rco.errors import ConfigInvalid
from rco.kit.backoff import Backoff
from rco.kit.digest import content_address
from rco.model.effect import Attempt, RetryPolicy
from rco.model.target import CallRequest, Credential, Fallback, Repeat, Rule

BODY = b'{"id": 7, "token": "t0ps3cret", "echo": "' + SECRET.encode() + b'"}'


async def test_what_goes_out_and_what_comes_back(rig: Rig) -> None:
    server = await rig.serve(reply(201, BODY, "Set-Cookie: sid=1", "X-Request-Id: r1"))
    egress = await rig.egress(rig.target(server, credential=Credential(secret="env:KEY")))
    answer = await good(egress, ask(json={"b": 1, "a": [2]}, query={"q": "x y"}, headers={"X-Mine": "m"}))

    sent = server.requests[0]
    assert sent.line == "POST /a/1?q=x%20y HTTP/1.1"
    assert sent.body == b'{"a":[2],"b":1}'
    assert {name: sent.headers.get(name) for name in ("authorization", "idempotency-key", "x-corr-id", "x-mine")} == {
        "authorization": f"Bearer {SECRET}",
        "idempotency-key": ATTEMPT.idempotency_key,
        "x-corr-id": "corr-12345678",
        "x-mine": "m",
    }
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["content-type"] == "application/json"
    version, trace_id, span_id, flags = sent.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert span_id not in ATTEMPT.trace

    assert answer.value == {
        "status": 201,
        "headers": {"content-type": "application/json", "content-length": str(len(BODY)), "x-request-id": "r1"},
        "body": {"id": 7, "token": "[redacted]", "echo": "[redacted]"},
        "b3": content_address(BODY),
        "fallback": False,
    }
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer.value)) == answer.value
    (decision,) = answer.decisions
    bucket = decision.facts.pop("latency_bucket")
    assert isinstance(bucket, str)
    assert bucket.startswith("le_")
    assert decision.facts == {"method": "POST", "path": "/a/*", "status": 201, "attempt": 1, "outcome": "ok"}
    assert (decision.verb, decision.allow, decision.subject, decision.reason) == ("call", True, "shop", "")
    assert (decision.run, decision.corr_id) == ("01010101-0101-0101-0101-010101010101", "corr-12345678")
    assert decision.b3 == content_address(sent.body)
    assert SECRET not in repr(answer)
    assert "t0ps3cret" not in repr(answer)


async def test_the_key_is_the_same_for_every_attempt_and_only_for_unsafe_ones(rig: Rig) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server, idempotency_header="X-Once"))
    for number in (1, 2, 3):
        attempt = Attempt(ATTEMPT.run_id, "charge", number, "corr-12345678", ATTEMPT.trace)
        await good(egress, ask("PUT"), attempt)
    await good(egress, ask("GET"))
    assert [request.headers.get("x-once") for request in server.requests] == [ATTEMPT.idempotency_key] * 3 + [None]
    assert len({request.headers["traceparent"] for request in server.requests}) == 4
    assert server.accepted == 1


async def test_without_a_trace_a_new_one_begins(rig: Rig) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server))
    for trace in ("", "junk", f"ff-{TRACE_ID}-b7ad6b7169203331-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01"):
        await good(egress, attempt=Attempt(ATTEMPT.run_id, "k", 1, "bad corr\r\nid", trace))
    seen = {request.headers["traceparent"].split("-")[1] for request in server.requests}
    assert len(seen) == 4
    assert TRACE_ID not in seen
    assert all("x-corr-id" not in request.headers for request in server.requests)


async def test_cookies_and_the_environment_have_no_say(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = await rig.serve(reply())
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "")
    server = await rig.serve(reply(200, b"{}", "Set-Cookie: sid=1; Path=/"))
    # By name, as cookies of bare addresses are dropped by default anyway.
    target = rig.target(base_url=f"http://shop.test:{server.port}")
    egress = await rig.egress(target, resolver=Names(["127.0.0.1"]))
    await good(egress)
    await good(egress)
    assert (proxy.accepted, len(server.requests)) == (0, 2)
    assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"hello", {"body": "hello"}),
        ("application/octet-stream", b"\xff\x00", {"body": "/wA=", "base64": True}),
        ("application/json", b"", {"body": None}),
        ("application/json", b"[1,2]", {"body": [1, 2]}),
    ],
)
async def test_bodies_of_other_kinds(rig: Rig, content_type: str, body: bytes, expected: dict) -> None:
    server = await rig.serve(reply(200, body, content_type=content_type))
    value = (await good(await rig.egress(rig.target(server)))).value
    assert {name: value[name] for name in ("body", "base64") if name in value} == expected


async def test_an_answer_without_a_body(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        head = b"204 No Content" if request.line.startswith("DELETE") else b"200 K\r\nContent-Length: 9"
        writer.write(b"HTTP/1.1 " + head + b"\r\n\r\n")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    assert (await good(egress, ask("DELETE"))).value["body"] is None
    assert (await good(egress, ask("HEAD"))).value["body"] is None


@pytest.mark.parametrize(
    ("status", "retryable", "ambiguous_when_never"),
    [
        *((400, False, False), (401, False, False), (404, False, False), (409, False, False), (410, False, False)),
        *((408, True, False), (425, True, False), (429, True, False), (422, False, False), (303, False, True)),
        *((500, True, True), (502, True, True), (503, True, True), (504, True, True), (304, False, True)),
    ],
)
async def test_what_a_status_means(rig: Rig, status: int, retryable: bool, ambiguous_when_never: bool) -> None:
    body = b"" if status == 304 else b'{"error": "no", "password": "x"}'
    server = await rig.serve(reply(status, body))
    keyed = rig.target(server)
    never = rig.target(server, name="once", idempotency_header=None)
    egress = await rig.egress(keyed, never)
    failed = await bad(egress)
    assert (failed.code, failed.retryable, failed.ambiguous) == ("call_failed", retryable, False)
    assert failed.data["status"] == status
    assert failed.data.get("body") == (None if status == 304 else {"error": "no", "password": "[redacted]"})
    assert failed.decisions[0].facts["status"] == status
    assert failed.decisions[0].allow
    assert (await bad(egress, ask(target="once"))).ambiguous is ambiguous_when_never
    assert (await bad(egress, ask("GET", target="once"))).ambiguous is False


async def test_the_body_of_a_refusal_is_shortened(rig: Rig) -> None:
    server = await rig.serve(reply(400, b'{"token":"t0ps3cret","x":"' + b"y" * 100_000 + b'"}'))
    failed = await bad(await rig.egress(rig.target(server)))
    assert len(failed.data["body"]) == 4096
    assert "t0ps3cret" not in failed.data["body"]


async def test_no_secret_in_errors_tracebacks_decisions_or_state(rig: Rig) -> None:
    async def echo(request, reader, writer) -> None:
        body = f"you sent {request.headers['authorization']}".encode()
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def hang_up(request, reader, writer) -> None:
        raise ConnectionError

    async def garbage(request, reader, writer) -> None:
        writer.write(b"\x00\x01 what\r\n\r\n")

    for speak in (echo, hang_up, garbage):
        server = await rig.serve(speak)
        egress = await rig.egress(rig.target(server, credential=Credential(secret="env:KEY")))
        failed = await bad(egress, ask(query={"api_key": "q-s3cret"}))
        assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        text = "".join(
            (
                *traceback.TracebackException.from_exception(failed, capture_locals=True).format(chain=True),
                *(repr(failed), str(failed), repr(failed.data), repr(failed.decisions), repr(egress.state())),
            )
        )
        assert SECRET not in text
        assert failed.__cause__ is None
        assert failed.__context__ is None
        assert "q-s3cret" not in repr((str(failed), failed.data, failed.decisions))


async def test_a_missing_secret_sends_nothing(rig: Rig) -> None:
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server, credential=Credential(secret="env:NOT_THERE")))
    failed = await bad(egress)
    assert (failed.code, failed.ambiguous, failed.data["reason"]) == ("call_refused", False, "secret_missing")
    assert "env:NOT_THERE" in failed.message
    assert rig.sockets.made == []


async def test_a_secret_is_read_for_each_attempt(rig: Rig) -> None:
    server = await rig.serve(reply())
    secrets = {"env:KEY": "first-secret"}
    credential = Credential(secret="env:KEY", header="X-Api-Key", scheme="")
    egress = await rig.egress(rig.target(server, credential=credential), resolve_secret=secrets.__getitem__)
    await good(egress)
    secrets["env:KEY"] = "second-secret"
    await good(egress)
    assert [request.headers["x-api-key"] for request in server.requests] == ["first-secret", "second-secret"]


async def test_what_the_engine_asks_beside_the_attempt(rig: Rig) -> None:
    backoff = Backoff(first_s=0.2)
    egress = await rig.egress(
        rig.target(attempts=7, backoff=backoff, fallback=Fallback(status=203, body={"stock": 0})),
        rig.target(name="once", idempotency_header=None),
    )
    repeats = {
        (method, name): egress.repeat_class(ask(method, target=name))
        for method in ("GET", "head", "OPTIONS", "POST", "PUT", "DELETE")
        for name in ("shop", "once")
    }
    assert {key for key, repeat in repeats.items() if repeat is Repeat.SAFE} == {
        (method, name) for method in ("GET", "head", "OPTIONS") for name in ("shop", "once")
    }
    assert {repeats[method, "shop"] for method in ("POST", "PUT", "DELETE")} == {Repeat.KEYED}
    assert {repeats[method, "once"] for method in ("POST", "PUT", "DELETE")} == {Repeat.NEVER}
    assert egress.repeat_class(ask(target="nobody")) is Repeat.NEVER
    assert egress.retry_policy(ask()) == RetryPolicy(7, backoff)
    assert egress.retry_policy(ask(target="nobody")).attempts == 1
    assert egress.fallback(ask()) == {"status": 203, "headers": {}, "body": {"stock": 0}, "b3": "", "fallback": True}
    assert egress.fallback(ask(target="once")) is None
    assert egress.fallback(ask(target="nobody")) is None


async def test_metrics_tell_outcomes_by_target(rig: Rig) -> None:
    server = await rig.serve(reply(500))
    egress = await rig.egress(rig.target(server))
    await bad(egress)
    await bad(egress, ask(path="/b"))
    await bad(egress, ask(target="no-such-target"))
    text = rig.metrics.render().decode()
    assert 'rco_calls_total{outcome="error",target="shop"} 1.0' in text
    assert 'rco_calls_total{outcome="refused",target="shop"} 1.0' in text
    assert 'rco_downstream_failures_total{target="shop"} 1.0' in text
    assert 'rco_calls_inflight{target="shop"} 0.0' in text
    assert "no-such-target" not in text


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"base_url": "ftp://h"},
            {"timeout_s": 0.0},
            {"timeout_s": float("nan")},
            {"attempts": 0},
            {"concurrency": 0},
        ),
        *({"concurrency": 0}, {"allow_private": ["10.0.0.1/8"]}, {"rate_per_s": -1.0}, {"idempotency_header": "a b"}),
        *({"credential": Credential(secret="hunter2")}, {"allow": [Rule(["GET"], "no-slash")]}),
    ],
)
async def test_a_target_that_cannot_be_used_is_a_configuration_error(rig: Rig, changes: dict) -> None:
    with pytest.raises(ConfigInvalid, match=r"targets\.shop") as caught:
        await rig.egress(rig.target(**changes))
    assert "hunter2" not in str(caught.value)


async def test_reload_keeps_what_is_equal_and_renews_what_changed(rig: Rig) -> None:
    gate = asyncio.Event()

    async def speak(request, reader, writer) -> None:
        await gate.wait()
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 2\r\n\r\n{}")

    slow, plain = await rig.serve(speak), await rig.serve(reply())
    old = [rig.target(slow, name="slow"), rig.target(plain, name="same"), rig.target(plain, name="gone")]
    egress = await rig.egress(*old)
    for name in ("same", "gone"):
        await good(egress, ask(target=name))
    under_way = asyncio.create_task(good(egress, ask(target="slow")))
    while not slow.requests:
        await asyncio.sleep(0.001)

    with pytest.raises(ConfigInvalid, match="twice"):
        egress.reload([*old, old[0]])
    with pytest.raises(ConfigInvalid):
        egress.reload([old[0], rig.target(name="same", base_url="nonsense")])
    assert [state.calls for state in egress.state()] == [1, 1, 1]

    egress.reload([rig.target(slow, name="slow", allow=[Rule(["GET"], "/only")]), rig.target(plain, name="same")])
    assert [(state.name, state.calls) for state in egress.state()] == [("same", 1), ("slow", 0)]
    assert (await bad(egress, ask(target="slow"))).data["reason"] == "not_allowed"
    assert (await bad(egress, ask(target="gone"))).data["reason"] == "unknown_target"
    await good(egress, ask(target="same"))
    gate.set()
    assert (await under_way).value["status"] == 200
    await slow.closed_by_peer.wait()
    # The connection of the target that stayed equal was kept.
    assert plain.accepted == 2


async def test_stop_ends_what_is_under_way_and_refuses_what_comes(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        await asyncio.Event().wait()

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, concurrency=1))
    sent, waiting = (asyncio.create_task(bad(egress)) for _ in range(2))
    while not server.requests or egress.state()[0].waiting != 1:
        await asyncio.sleep(0.001)
    await egress.stop()
    await egress.stop()
    lost, refused = await sent, await waiting
    assert (lost.data["reason"], lost.ambiguous, lost.retryable) == ("connection_lost", True, True)
    assert (refused.data["reason"], refused.ambiguous, refused.retryable) == ("stopped", False, True)
    assert (await bad(egress)).data["reason"] == "stopped"
    assert len(server.requests) == 1


async def test_stop_does_not_wait_for_names_or_tokens(rig: Rig) -> None:
    class Asleep:
        async def resolve(self, host, port=0, family=0):
            asked.set()
            await asyncio.Event().wait()

        async def close(self) -> None:
            return None

    asked = asyncio.Event()
    egress = await rig.egress(
        rig.target(timeout_s=3600.0),
        rig.target(name="slow", rate_per_s=0.001, burst=1, timeout_s=3600.0),
        resolver=Asleep(),
    )
    resolving = asyncio.create_task(bad(egress))
    taking = asyncio.create_task(bad(egress, ask(target="slow")))
    await asked.wait()
    sleeping = asyncio.create_task(bad(egress, ask(target="slow")))
    while egress.state()[1].waiting != 1:
        await asyncio.sleep(0.001)
    await egress.stop()
    assert [(await call).ambiguous for call in (resolving, taking, sleeping)] == [False] * 3
    assert (await sleeping).data["reason"] == "stopped"


@pytest.mark.parametrize("request_", [ask(method="GET"), ask(json={"a": 1})], ids=["without a body", "with a body"])
async def test_nothing_is_written_when_the_lease_ran_out_while_a_connection_was_waited_for(
    rig: Rig, request_: CallRequest
) -> None:
    """As after SIGSTOP in the middle of connecting: the attempt began in time, and the request would leave too late."""
    server = await rig.serve(reply())
    held = [True]
    target = rig.target(server, allow=(Rule(methods=("GET", "POST"), path="/**"),))
    egress = await rig.egress(target, may_send=lambda: held[0])
    await good(egress, request_)
    held[0] = False
    refused = await bad(egress, request_)
    assert (refused.data["reason"], refused.ambiguous, refused.retryable) == ("lease_ran_out", False, True)
    # The connection was there, kept from before.
    assert (server.accepted, len(server.requests)) == (1, 1)
    held[0] = True
    await good(egress, request_)
    assert len(server.requests) == 2
