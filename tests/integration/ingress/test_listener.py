"""The door to the server: starting, stopping, and what is in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from rco.errors import ConfigInvalid
from rco.server.serving import Listener


class App:
    """Answers 200 when it is let go."""

    def __init__(self) -> None:
        self.inside, self.go, self.cut = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut.set()
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def get(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_it_answers_when_started_and_not_when_stopped() -> None:
    app = App()
    app.go.set()
    listener = Listener(app)
    assert not listener.bound
    await listener.start()
    assert listener.bound
    assert listener.port > 0
    assert (await get(listener.port)).startswith(b"HTTP/1.1 200")
    await listener.stop()
    assert not listener.bound
    with pytest.raises(ConnectionRefusedError):
        await get(listener.port)


async def test_starting_asks_the_application_nothing() -> None:
    app = App()
    listener = Listener(app)
    await listener.start()
    assert not app.inside.is_set()
    await listener.stop()


async def test_no_segment_of_an_answer_waits_for_an_acknowledgement() -> None:
    app = App()
    listener = Listener(app)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await app.inside.wait()
    assert _nodelay(writer.get_extra_info("sockname")) == 1
    app.go.set()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await listener.stop()


def _nodelay(client: Any) -> int:
    """Of the server's end of the connection, which is in this process too."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as one:
            if one.getpeername() == client:
                return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    raise AssertionError("the server's end is not in this process")


async def test_a_port_that_is_taken_is_told_with_the_cure() -> None:
    app = App()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        listener = Listener(app, port=port)
        with pytest.raises(ConfigInvalid, match=f"127.0.0.1:{port} .*another port"):
            await listener.start()
        await listener.stop()


async def test_two_listeners_do_not_share_a_port() -> None:
    app = App()
    first = Listener(app)
    await first.start()
    second = Listener(app, port=first.port)
    with pytest.raises(ConfigInvalid):
        await second.start()
    await second.stop()
    await first.stop()
    again = Listener(app, port=first.port)
    await again.start()
    await again.stop()


@pytest.mark.parametrize("host", ["203.0.113.7", "nonsense", "256.1.1.1", ""])
async def test_an_address_that_is_not_ours(host: str) -> None:
    listener = Listener(App(), host=host)
    with pytest.raises(ConfigInvalid):
        await listener.start()
    await listener.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", "::1", "::"])
async def test_all_kinds_of_addresses(host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    listener = Listener(App(), host=host)
    try:
        await listener.start()
    except ConfigInvalid as error:
        pytest.skip(str(error))
    assert listener.bound
    await listener.stop()


async def test_stop_may_come_before_start_and_twice() -> None:
    listener = Listener(App())
    await listener.stop()
    await listener.start()
    await listener.stop()
    await listener.stop()


async def test_stop_lets_what_is_inside_end() -> None:
    app = App()
    listener = Listener(app)
    await listener.start()
    asking = asyncio.create_task(get(listener.port))
    await app.inside.wait()
    stopping = asyncio.create_task(listener.stop())
    app.go.set()
    await stopping
    assert (await asking).endswith(b"done")
    assert not app.cut.is_set()


async def test_stop_cuts_off_what_does_not_end_in_time() -> None:
    app = App()
    listener = Listener(app, drain_timeout_s=0.1)
    await listener.start()
    asking = asyncio.create_task(get(listener.port))
    await app.inside.wait()
    await listener.stop()
    assert app.cut.is_set()
    assert b"done" not in await asking
    others = asyncio.all_tasks() - {asyncio.current_task(), asking}
    assert not others


async def test_an_idle_connection_does_not_hold_up_the_stop() -> None:
    app = App()
    app.go.set()
    listener = Listener(app, drain_timeout_s=30, header_timeout_s=30)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"done")
    async with asyncio.timeout(10):
        await listener.stop()
    assert await reader.read() == b""
    writer.close()
