"""The door to granian: an ASGI application on a port, inside the running loop."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from rco.errors import ConfigInvalid
from rco.kit.lifecycle import stop_task
from rco.server.framing import App, Receive, Scope, Send

__all__ = ["Listener"]

BACKLOG = 1024
PROBE_TIMEOUT_S = 5.0
# Not HTTP: the parser refuses it by itself, so the answer proves that the server works and no application is asked.
_PROBE = b"\0\r\n\r\n"


class Listener:
    """Serves ``app`` on one TCP port over HTTP/1.1. Keeps the ``kit.lifecycle.Lives`` contract.

    ``connections`` are served at a time, others wait in the kernel. A connection that does not finish the head of its
    next request within ``header_timeout_s`` is closed. ``buffer_bytes`` bounds what is read ahead per connection, and
    with it the head. Port 0 takes a free one; ``port`` then says which.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        connections: int = 512,
        header_timeout_s: float = 5.0,
        buffer_bytes: int = 64 << 10,
        drain_timeout_s: float = 5.0,
    ) -> None:
        self._app, self._host, self._port = app, host, port
        self._connections, self._drain_timeout_s = connections, drain_timeout_s
        self._http1 = HTTP1Settings(
            header_read_timeout=max(1, round(header_timeout_s * 1000)), max_buffer_size=max(8192, buffer_bytes)
        )
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[Any]] = set()

    @property
    def host(self) -> str:
        return self._host

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._port

    @property
    def bound(self) -> bool:
        """Whether connections are accepted now."""
        return self._serving is not None and not self._serving.done()

    async def start(self) -> None:
        """Listen. Returns when the port answers. Raises ``ConfigInvalid`` when the address cannot be had; then
        nothing is left behind."""
        listening = _listen(self._host, self._port)
        self._port = listening.getsockname()[1]
        self._socket = listening
        self._server = _Server(self._serve, listening, self._connections, self._http1)
        self._serving = asyncio.create_task(self._server.serve())
        try:
            await _answers(listening.getsockname(), listening.family, self._serving)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Accept nothing more, let what is inside end within the deadline, cut off the rest. May be called at any
        time and twice."""
        serving, server = self._serving, self._server
        if serving is not None and server is not None:
            server.stop()  # type: ignore[no-untyped-call]
            done, _ = await asyncio.wait([serving], timeout=self._drain_timeout_s)
            if not done:
                for request in tuple(self._requests):
                    request.cancel()
                await asyncio.wait([serving], timeout=self._drain_timeout_s)
            await stop_task(serving)
        self._serving = self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server called the application outside of a task")
        self._requests.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests.discard(task)


class _Server(Server):
    """granian, on a socket that is already bound.

    By itself it binds with SO_REUSEPORT, and a second service on the same port would silently take half of the
    requests; and it does not say which port it got for 0.
    """

    def __init__(self, app: App, listening: socket.socket, connections: int, http1: HTTP1Settings) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=connections,
            http1_settings=http1,
            log_enabled=False,
        )
        self._listening = listening

    def _init_shared_socket(self) -> None:
        # granian closes the descriptor it is given, so it is given one of its own.
        self._ssp = None
        holder: Any = SocketHolder
        self._shd = holder(os.dup(self._listening.fileno()), False, BACKLOG)


def _listen(host: str, port: int) -> socket.socket:
    try:
        # Numeric only: a name may mean several addresses, and asking for it would hold up the loop.
        family, kind, proto, _, address = socket.getaddrinfo(
            "127.0.0.1" if host == "localhost" else host,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST,
        )[0]
        listening = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigInvalid(
            f"{host}:{port} cannot be listened on: {error.strerror}",
            cure="Give an IP address of this machine, or 0.0.0.0 for all.",
        ) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigInvalid(
            f"{host}:{port} cannot be listened on: {error.strerror}",
            cure="Stop what listens there, or choose another port.",
        ) from error
    return listening


async def _answers(address: Any, family: int, serving: asyncio.Task[None]) -> None:
    """Returns when the server gives an answer; raises what ended it, or ``TimeoutError``."""
    probe = asyncio.create_task(_probe(address, family))
    try:
        done, _ = await asyncio.wait([probe, serving], timeout=PROBE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if serving in done:
            serving.result()
            raise RuntimeError("the server ended while it was starting")
        if probe not in done:
            raise TimeoutError(f"the server did not answer within {PROBE_TIMEOUT_S:g} s")
        probe.result()
    finally:
        await stop_task(probe)


async def _probe(address: Any, family: int) -> None:
    loop = asyncio.get_running_loop()
    host = address[0]
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        await loop.sock_connect(asking, (host, *address[1:]))
        await loop.sock_sendall(asking, _PROBE)
        if not await loop.sock_recv(asking, 16):
            raise ConnectionError("the server closed the connection without an answer")
