"""What is written to a connection, and when one is used again."""

import asyncio
import socket

import pytest
from aiohttp import AddrInfoType
from tests.integration.egress.rig import ATTEMPT, Request, Rig, ask, bad, good, reply

from rco.egress.wire import Wire
from rco.model.target import CallRequest


def names_of(request: Request) -> list[str]:
    return [name for name in request.headers if name != "traceparent"]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (ask("GET"), ["host", "accept-encoding", "accept", "user-agent", "x-corr-id"]),
        (
            ask("DELETE"),
            ["host", "accept-encoding", "accept", "user-agent", "x-corr-id", "idempotency-key", "content-length"],
        ),
        (
            ask("POST", json={}),
            [
                *("host", "accept-encoding", "accept", "user-agent", "x-corr-id", "idempotency-key", "content-type"),
                "content-length",
            ],
        ),
        (
            ask("GET", headers={"accept": "text/plain", "user-agent": "me"}),
            ["host", "accept-encoding", "x-corr-id", "accept", "user-agent"],
        ),
    ],
    ids=["get", "delete", "post", "the caller's own"],
)
async def test_the_head_holds_this_and_nothing_else(rig: Rig, request_: CallRequest, names: list[str]) -> None:
    server = await rig.serve(reply())
    await good(await rig.egress(rig.target(server)), request_)
    assert names_of(server.requests[0]) == names
    assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"
    assert server.requests[0].headers.get("content-length", "0") == ("2" if request_.json is not None else "0")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a", {"X": "1\r\nHost: other"}),
        ("/a", {"X": "1\nY: 2"}),
        ("/a", {"X": "1\rY: 2"}),
        ("/a", {"X\r\nY": "1"}),
        ("/a", {"X": "\0"}),
        ("/a HTTP/1.1\r\nX: 1\r\n\r\nGET /b", {}),
        ("/a b", {}),
    ],
)
async def test_a_head_that_would_be_read_as_more_than_was_meant_is_not_sent(
    rig: Rig, path: str, headers: dict[str, str]
) -> None:
    """Rules and headers are checked before; this is the last look at the bytes themselves."""
    server = await rig.serve(reply())
    egress = await rig.egress(rig.target(server))
    await good(egress, ask("GET"))
    lane = egress.lane("shop")
    assert lane is not None
    assert isinstance(lane.wire, Wire)
    with pytest.raises(ValueError, match="line break"):
        await lane.wire.ask("GET", path, headers, None, lambda: None)
    assert len(server.requests) == 1


async def test_an_answer_that_nobody_asked_for_is_not_the_next_calls(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        number = len(server.requests)
        answer = b"HTTP/1.1 200 K\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n%d"
        writer.write(answer % number)
        await writer.drain()
        if number == 1:
            told.set()
            await asyncio.Event().wait()

    told = asyncio.Event()
    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    assert (await good(egress)).value["body"] == 1
    await told.wait()
    lane = egress.lane("shop")
    assert lane is not None
    assert lane.wire is not None
    # The second answer is here before the second request: as if the server had put it behind the first one.
    (kept,) = lane.wire._connector._conns.values()
    kept[0][0].data_received(b'HTTP/1.1 200 K\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"ha"')
    assert (await good(egress)).value["body"] == 2
    assert server.accepted == 2


async def test_a_connection_with_half_a_request_on_it_is_not_used_again(rig: Rig) -> None:
    """The server answers without reading what it is sent: the rest would be the beginning of the next request."""
    answered = asyncio.Event()
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 2\r\n\r\n{}")
        await answered.wait()
        writer.transport.abort()

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(serve, sock=listening, limit=4096)
    port = listening.getsockname()[1]

    def opener(info: AddrInfoType) -> socket.socket:
        # What the kernel takes is on its way; here it takes little.
        opened = rig.sockets(info)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return opened

    egress = await rig.egress(rig.target(base_url=f"http://127.0.0.1:{port}"), opener=opener)
    await good(egress, ask(json="x" * 1_000_000))
    await good(egress, ask(json=1))
    answered.set()
    server.close()
    assert accepted == 2


async def test_interim_answers_are_not_the_answer(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 K\r\nContent-Length: 2\r\n\r\n{}")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    for _ in range(2):
        assert (await good(egress)).value["status"] == 200
    assert server.accepted == 1


async def test_a_change_of_protocol_is_no_success_and_ends_the_connection(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    assert (await bad(egress)).data["status"] == 101
    await server.closed_by_peer.wait()


async def test_an_answer_to_head_has_no_body_whatever_it_says(rig: Rig) -> None:
    async def speak(request, reader, writer) -> None:
        length = b"5" if request.line.startswith("HEAD") else b"2\r\n\r\n{}"
        writer.write(b"HTTP/1.1 200 K\r\nContent-Type: application/json\r\nContent-Length: " + length)
        if request.line.startswith("HEAD"):
            writer.write(b"\r\n\r\n")

    server = await rig.serve(speak)
    egress = await rig.egress(rig.target(server))
    for method, body in (("HEAD", None), ("GET", {}), ("HEAD", None)):
        assert (await egress.attempt(ask(method), ATTEMPT)).value["body"] == body
    assert server.accepted == 1
