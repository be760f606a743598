"""Bodies that are too large, too slow or framed wrongly, over a raw socket."""

from __future__ import annotations

import asyncio

import pytest


def nothing_got_in(edge) -> None:
    assert edge.deliveries == []
    assert (edge.turnstile.inflight, edge.turnstile.held_bytes) == (0, 0)


def filled(size: int) -> bytes:
    start = b'{"type":"a","x":"'
    return start + b"y" * (size - len(start) - 2) + b'"}'


async def test_a_body_of_exactly_the_default_limit(edge) -> None:
    body = filled(1 << 20)
    answer = await edge.ask(edge.request(edge.signed(body), body))
    assert answer.status == 202
    assert edge.deliveries[0].event.data == body


async def test_one_byte_more_is_refused_before_it_is_sent(edge) -> None:
    wire = await edge.connect()
    size = (1 << 20) + 1
    headers = [*edge.signed(), ("Content-Length", str(size)), ("Expect", "100-continue")]
    await wire.send(edge.request(headers, b"", length=False))
    answer = await wire.answer()
    assert (answer.status, answer.reason) == (413, "BODY_LIMIT")
    await wire.closed()
    assert edge.decisions[0].reason == "body_announced"
    nothing_got_in(edge)


async def test_one_byte_more_in_chunks_is_refused_while_it_streams(run_edge) -> None:
    edge = await run_edge(provider={"body_limit_bytes": 1000})
    for size, status in ((1000, 202), (1001, 413)):
        body = filled(size)
        head = edge.request([*edge.signed(body), ("Transfer-Encoding", "chunked")], b"", length=False)
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:600], body[600:]))
        answer = await edge.ask(head + chunks + b"0\r\n\r\n")
        assert answer.status == status
    assert answer.reason == "BODY_LIMIT"
    assert [decision.reason for decision in edge.decisions] == ["body_streamed"]
    assert len(edge.deliveries) == 1


async def test_an_endless_body_is_cut_off_at_the_limit(run_edge) -> None:
    edge = await run_edge(provider={"body_limit_bytes": 10_000})
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), ("Transfer-Encoding", "chunked")], b"", length=False))
    chunk = b"2000\r\n" + b"x" * 8192 + b"\r\n"
    answering = asyncio.create_task(wire.answer())
    while not answering.done():
        try:
            await wire.send(chunk)
        except ConnectionError:
            break
    assert (await answering).status == 413
    nothing_got_in(edge)


async def test_bodies_held_in_all_are_bounded(run_edge) -> None:
    edge = await run_edge(limits={"held_bytes": 1000})
    body = filled(1001)
    answer = await edge.ask(edge.request(edge.signed(body), body))
    assert (answer.status, answer.reason) == (429, "BACKPRESSURE")
    nothing_got_in(edge)


async def test_a_body_that_stops_is_408_and_the_connection_closes(run_edge) -> None:
    edge = await run_edge(read_timeout_s=0.2)
    wire = await edge.connect()
    await wire.send(edge.request()[:-1])
    answer = await wire.answer()
    assert (answer.status, answer.reason) == (408, "TIMEOUT")
    assert await wire.closed() == b""
    assert edge.decisions[0].reason == "body_slow"
    nothing_got_in(edge)


async def test_a_body_that_drips_is_408_too(run_edge) -> None:
    edge = await run_edge(read_timeout_s=0.3)
    wire = await edge.connect()
    request = edge.request()
    at = request.index(b"\r\n\r\n") + 4
    await wire.send(request[:at])
    answering = asyncio.create_task(wire.answer())
    for byte in request[at:-1]:
        await wire.send(bytes((byte,)))
        done, _ = await asyncio.wait([answering], timeout=0.02)
        if done:
            break
    assert (await answering).status == 408
    nothing_got_in(edge)


async def test_expect_without_a_body_is_408(run_edge) -> None:
    edge = await run_edge(read_timeout_s=0.2)
    wire = await edge.connect()
    headers = [*edge.signed(), ("Content-Length", "54"), ("Expect", "100-continue")]
    await wire.send(edge.request(headers, b"", length=False))
    assert (await wire.answer()).status == 408


async def test_a_head_that_stops_is_closed_in_time(run_edge) -> None:
    edge = await run_edge(header_timeout_s=0.2)
    for start in (b"", b"POST /webhooks/acme HTTP/1.1\r\nHost: a\r\n"):
        wire = await edge.connect()
        await wire.send(start)
        await wire.closed()
    nothing_got_in(edge)


async def test_a_length_that_is_too_low_proves_nothing(edge) -> None:
    headers = [*edge.signed(), ("Content-Length", "20")]
    wire = await edge.connect()
    await wire.send(edge.request(headers, length=False))
    answer = await wire.answer()
    assert (answer.status, answer.reason) == (401, "UNAUTH")
    rest = await wire.closed()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400")
    nothing_got_in(edge)


async def test_a_length_that_is_too_high_and_then_the_end(edge) -> None:
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), ("Content-Length", "500")], length=False))
    wire.writer.write_eof()
    said = await wire.closed()
    assert said == b"" or said.startswith(b"HTTP/1.1 400")
    assert edge.decisions[0].reason == "body_cut"
    nothing_got_in(edge)


@pytest.mark.parametrize("length", ["5, 5", "+54", "0x36", "-1", "5 4", "", "٥٤", "54.0", "99999999999999999999999"])
async def test_lengths_that_are_none(edge, length) -> None:
    wire = await edge.connect()
    headers = "".join(f"{name}: {value}\r\n" for name, value in [*edge.signed(), ("Content-Length", length)])
    await wire.send(f"POST /webhooks/acme HTTP/1.1\r\n{headers}\r\n".encode())
    answer = await wire.answer()
    assert answer.status in (400, 413)
    await wire.closed()
    nothing_got_in(edge)


async def test_two_lengths_that_differ(edge) -> None:
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), ("Content-Length", "20")]))
    assert (await wire.answer()).status == 400
    await wire.closed()
    nothing_got_in(edge)


async def test_length_and_chunks_are_never_two_requests(edge) -> None:
    """The server reads it as chunked, as RFC 9112 section 6.3 allows, and closes; what follows is no request."""
    hidden = edge.request(path="/webhooks/nobody")
    body = b"0\r\n\r\n" + hidden
    wire = await edge.connect()
    await wire.send(
        edge.request(
            [*edge.signed(), ("Content-Length", str(len(body))), ("Transfer-Encoding", "chunked")], body, length=False
        )
    )
    answer = await wire.answer()
    assert answer.status in (400, 401)
    assert await wire.closed() == b""
    assert len(edge.decisions) <= 1
    nothing_got_in(edge)


@pytest.mark.parametrize("coding", ["xchunked", "gzip, chunked", "identity", "chunked, chunked"])
async def test_other_transfer_codings(edge, coding) -> None:
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), ("Transfer-Encoding", coding)], b"0\r\n\r\n", length=False))
    assert (await wire.answer()).status == 400
    await wire.closed()
    nothing_got_in(edge)


@pytest.mark.parametrize(
    "body",
    [
        b"3\r\nabcXX0\r\n\r\n",
        b"11111111111111111\r\nabc\r\n0\r\n\r\n",
        b"z\r\n",
        b"1;" + b"x" * 70_000 + b"\r\na\r\n0\r\n\r\n",
    ],
    ids=["no line end", "17 digits", "no number", "64 KiB extension"],
)
async def test_broken_chunks_are_400_with_the_envelope(edge, body) -> None:
    wire = await edge.connect()
    await wire.send(edge.request([*edge.signed(), ("Transfer-Encoding", "chunked")], body, length=False))
    answer = await wire.answer()
    assert (answer.status, answer.reason) == (400, "MALFORMED")
    await wire.closed()
    assert edge.decisions[0].reason == "body_cut"
    nothing_got_in(edge)
