"""Answers that try to cost memory, time or repetition."""

import asyncio

import pytest
from tests.integration.egress.rig import ATTEMPT, ManualClock, Rig, ask, bad, good, reply

from rco.model.effect import EffectFailed
from rco.model.target import Breaker


async def pour(writer: asyncio.StreamWriter, chunk: bytes) -> int:
    """Write until the other side hangs up; how many bytes it took."""
    poured = 0
    try:
        while poured < 1 << 28:
            writer.write(chunk)
            await writer.drain()
            poured += len(chunk)
    except ConnectionError:
        return poured
    return poured


async def test_an_endless_body_is_cut_at_the_cap(rig: Rig) -> None:
    poured = []

    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 K\r\nTransfer-Encoding: chunked\r\n\r\n")
        poured.append(await pour(writer, b"10000\r\n" + b"x" * 0x10000 + b"\r\n"))
        raise ConnectionError

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, max_response_bytes=100_000))
    failed = await bad(egress)
    assert (failed.data["reason"], failed.retryable, failed.ambiguous) == ("answer_too_large", False, False)
    await server.closed_by_peer.wait()
    # What was in flight in socket buffers, not the 256 MiB it would have poured.
    assert poured[0] < 1 << 26
    assert egress.state()[0].window_failed == 1


async def test_a_declared_size_above_the_cap_is_not_read(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 100001\r\n\r\n")

    server = await rig.serve(speak)
    never = rig.target(server, max_response_bytes=100_000, idempotency_header=None)
    failed = await bad(await rig.egress(never))
    # The work was done and its answer is lost: whoever cannot repeat it must be told.
    assert (failed.data["reason"], failed.data["status"], failed.ambiguous) == ("answer_too_large", 200, True)
    await server.closed_by_peer.wait()


@pytest.mark.parametrize("size", [99_999, 100_000])
async def test_a_body_up_to_the_cap_is_taken(rig: Rig, size: int) -> None:
    server = await rig.serve(reply(200, b"x" * size, content_type="text/plain"))
    answer = await good(await rig.egress(rig.target(server, max_response_bytes=100_000)))
    assert len(answer.value["body"]) == size


async def test_an_encoded_answer_is_refused_undecoded(rig: Rig) -> None:
    server = await rig.serve(reply(200, b"\x1f\x8b junk that is no gzip", "Content-Encoding: gzip"))
    failed = await bad(await rig.egress(rig.target(server)))
    assert (failed.data["reason"], failed.retryable) == ("answer_encoded", False)


@pytest.mark.parametrize(
    "header", [b"X: " + b"y" * 1000 + b"\r\n", b"y" * 4096, b"X-%d: y\r\n" % 7], ids=["many", "one long", "small"]
)
async def test_endless_headers_are_cut(rig: Rig, header: bytes) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 K\r\n")
        await pour(writer, header * 16)
        raise ConnectionError

    server = await rig.serve(speak)
    failed = await bad(await rig.egress(rig.target(server)))
    assert (failed.data["reason"], failed.retryable, failed.ambiguous) == ("answer_malformed", False, True)
    await server.closed_by_peer.wait()


async def test_a_body_that_drips_ends_at_the_deadline(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    server = await rig.serve(speak)
    failed = await bad(await rig.egress(rig.target(server)), ask(timeout_s=0.2))
    assert (failed.kind, failed.retryable, failed.ambiguous) == ("Timeout", True, True)
    await server.closed_by_peer.wait()


async def test_a_timeout_cancels_the_socket(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        if await reader.read(1) == b"":
            raise ConnectionError

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, timeout_s=0.1))
    failed = await bad(egress, ask(timeout_s=1e6))
    assert (failed.data["reason"], failed.data["status"], failed.ambiguous) == ("timeout", 0, True)
    await server.closed_by_peer.wait()
    assert egress.state()[0].in_flight == 0


async def test_cancelling_the_caller_closes_the_connection_and_gives_the_permit_back(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        if await reader.read(1) == b"":
            raise ConnectionError

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, concurrency=1))
    task = asyncio.create_task(egress.attempt(ask(), ATTEMPT))
    while not server.requests:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.closed_by_peer.wait()
    assert (egress.state()[0].in_flight, egress.state()[0].outcomes) == (0, {"cancelled": 1})


async def test_no_connection_in_time_is_not_ambiguous(rig: Rig) -> None:
    class Asleep:
        async def resolve(self, host, port=0, family=0):
            await asyncio.Event().wait()

        async def close(self) -> None:
            return None

    failed = await bad(await rig.egress(rig.target(), resolver=Asleep()), ask(timeout_s=0.05))
    assert (failed.data["reason"], failed.ambiguous, failed.retryable) == ("timeout", False, True)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_dead_connection_makes_no_second_attempt(rig: Rig, method: str) -> None:
    """A reused connection that dies is where client libraries like to try again on their own."""

    async def speak(request, reader, writer) -> None:
        if len(server.requests) > 1:
            raise ConnectionError
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 2\r\n\r\n{}")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    await good(egress, ask(method, json=None if method == "GET" else {"x": 1}))
    failed = await bad(egress, ask(method, json=None if method == "GET" else {"x": 1}))
    assert (failed.data["reason"], failed.ambiguous, failed.retryable) == ("connection_lost", True, True)
    assert (len(server.requests), server.accepted) == (2, 1)


async def test_a_body_that_ends_too_soon_is_a_lost_answer(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        raise ConnectionError

    server = await rig.serve(speak)
    failed = await bad(await rig.egress(rig.target(server)))
    assert (failed.data["reason"], failed.ambiguous) == ("connection_lost", True)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_closes_the_target_and_is_clamped(rig: Rig, status: int) -> None:
    rig.clock = ManualClock()
    server = await rig.serve(reply(status, b"", "Retry-After: 1000000000"))
    egress = await rig.egress(rig.target(server))
    assert (await bad(egress)).retry_after_s == 3600.0
    refused = await bad(egress)
    assert (refused.data["reason"], refused.code, refused.retryable) == ("closed_until", "call_refused", True)
    assert refused.retry_after_s == 3600.0
    assert (refused.ambiguous, refused.decisions[0].reason, refused.decisions[0].allow) == (
        False,
        "closed_until",
        False,
    )
    assert len(server.requests) == 1
    assert egress.state()[0].closed_until_us == rig.clock.now_us() + 3600 * 1_000_000
    rig.clock.at += 3600
    await bad(egress)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "after"),
    [(429, "-5"), (503, "1e9"), (429, "Tue, 14 Nov 2013 22:13:20 GMT"), (503, "9" * 30), (500, "60"), (404, "60")],
)
async def test_a_retry_after_without_sense_closes_nothing(rig: Rig, status: int, after: str) -> None:
    server = await rig.serve(reply(status, b"", f"Retry-After: {after}"))
    egress = await rig.egress(rig.target(server))
    assert (await bad(egress)).retry_after_s is None
    await bad(egress)
    assert (len(server.requests), egress.state()[0].closed_until_us) == (2, None)


async def test_the_breaker_opens_probes_once_and_closes(rig: Rig) -> None:
    rig.clock = ManualClock()
    healthy = False
    hold: asyncio.Event | None = None

    async def speak(request, reader, writer) -> None:
        if hold is not None:
            await hold.wait()
        status = b"200" if healthy else b"500"
        writer.write(b"HTTP/1.1 " + status + b" K\r\nContent-Length: 0\r\n\r\n")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, breaker=Breaker(min_calls=4, window_s=30.0, open_s=5.0)))
    for _ in range(4):
        await bad(egress)
    assert egress.state()[0].breaker == "open"
    refused = await bad(egress)
    assert (refused.data["reason"], refused.retry_after_s, refused.retryable) == ("breaker_open", 5.0, True)
    assert len(server.requests) == 4

    rig.clock.at += 5
    hold, healthy = asyncio.Event(), True
    calls = [asyncio.create_task(egress.attempt(ask(), ATTEMPT)) for _ in range(50)]
    done, probing = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    while len(server.requests) < 5:
        await asyncio.sleep(0.001)
    done, probing = await asyncio.wait(calls, timeout=0)
    assert (len(done), len(probing), len(server.requests)) == (49, 1, 5)
    assert all(isinstance(call.exception(), EffectFailed) for call in done)
    assert egress.state()[0].breaker == "half_open"
    hold.set()
    await probing.pop()
    assert egress.state()[0].breaker == "closed"
    await good(egress)


async def test_concurrency_holds_on_the_wire(rig: Rig) -> None:
    inside = most = 0

    async def speak(request, reader, writer) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 0\r\n\r\n")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, concurrency=5))
    await asyncio.gather(*(good(egress) for _ in range(200)))
    assert (most, len(server.requests), server.accepted <= 5) == (5, 200, True)


async def test_waiting_for_a_permit_ends_with_the_calls_time(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        await asyncio.Event().wait()

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server, concurrency=1))
    first = asyncio.create_task(bad(egress))
    while not server.requests:
        await asyncio.sleep(0.001)
    failed = await bad(egress, ask(timeout_s=0.05))
    assert (failed.data["reason"], failed.code) == ("concurrency_limited", "call_refused")
    assert (failed.retryable, failed.ambiguous, failed.retry_after_s) == (True, False, 1.0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_rate_refuses_who_would_wait_too_long(rig: Rig) -> None:
    rig.clock = ManualClock()
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server, rate_per_s=0.01, burst=2))
    await good(egress)
    await good(egress)
    failed = await bad(egress)
    assert (failed.data["reason"], failed.retryable, failed.retry_after_s) == ("rate_limited", True, 100.0)
    assert (len(server.requests), egress.state()[0].in_flight) == (2, 0)
    assert 'rco_call_limited_total{limit="rate",target="shop"} 1.0' in rig.metrics.render().decode()
