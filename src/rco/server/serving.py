"""The door to granian: an ASGI application on a port, inside the running loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from rco.errors import ConfigInvalid
from rco.kit.lifecycle import stop_task
from rco.server.framing import App, Receive, Scope, Send
from rco.server.tls import Served

__all__ = ["Listener"]

BACKLOG = 1024
PROBE_TIMEOUT_S = 5.0
PROBE_EVERY_S = 0.02
HANDSHAKE_S = 5.0
# Not HTTP: the parser refuses it by itself, so the answer proves that the server works and no application is asked.
_PROBE = b"\0\r\n\r\n"


class Listener:
    """Serves ``app`` on one TCP port over HTTP/1.1. Keeps the ``kit.lifecycle.Lives`` contract.

    ``connections`` are served at a time, others wait in the kernel. A connection that does not finish the head of its
    next request within ``header_timeout_s`` is closed. ``buffer_bytes`` bounds what is read ahead per connection, and
    with it the head. Port 0 takes a free one; ``port`` then says which. With ``tls`` it speaks TLS and nothing else.
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
        tls: Served | None = None,
    ) -> None:
        self._app, self._host, self._port = app, host, port
        self._connections, self._drain_timeout_s = connections, drain_timeout_s
        self._http1 = HTTP1Settings(
            header_read_timeout=max(1, round(header_timeout_s * 1000)), max_buffer_size=max(8192, buffer_bytes)
        )
        self.tls = tls
        """What is served now."""
        self._renewing = asyncio.Lock()
        self._socket: socket.socket | None = None
        self._serving: _Serving | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

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
        return self._serving is not None and not self._serving.task.done()

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return f"{'http' if self.tls is None else 'https'}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Returns when the port answers. Raises ``ConfigInvalid`` when the address cannot be had; then
        nothing is left behind."""
        self._stopping.clear()
        listening = _listen(self._host, self._port)
        self._port = listening.getsockname()[1]
        self._socket = listening
        try:
            self._serving = await self._begin(listening, self.tls)
        except BaseException:
            await self.stop()
            raise

    async def renew(self, tls: Served, *, instead_of: Served | None = None) -> None:
        """Serve ``tls`` from now on: new connections get it, those that are there end in their own time, and none is
        refused meanwhile. Raises what keeps it from being served; then everything is as it was. Only with TLS, and
        while it listens. ``instead_of``: only if that is what is served."""
        async with self._renewing:
            if instead_of is None or instead_of is self.tls:
                await self._renew(tls)

    async def _renew(self, tls: Served) -> None:
        before, listening = self._serving, self._socket
        if before is None or listening is None or self.tls is None:
            raise RuntimeError("there is no listener with TLS to renew")
        if tls.mark == self.tls.mark:
            return
        self._serving, self.tls = await self._begin(listening, tls), tls
        before.deafen()
        retiring = asyncio.create_task(self._retire(before), name="rco-retiring-listener")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, serving: _Serving) -> None:
        # It hears of nobody new; who had begun with it may end the handshake, which stopping would cut off.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDSHAKE_S):
                await self._stopping.wait()
        await self._end(serving)

    async def stop(self) -> None:
        """Accept nothing more, let what is inside end within the deadline, cut off the rest. May be called at any
        time and twice."""
        self._stopping.set()
        serving, self._serving = self._serving, None
        if serving is not None:
            await self._end(serving)
        if self._retiring:
            await asyncio.wait(self._retiring)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _begin(self, listening: socket.socket, tls: Served | None) -> _Serving:
        """One server on the socket, beside any that is there. Returns when it answers; else nothing of it is left."""
        requests: set[asyncio.Task[Any]] = set()
        there = _descriptors_of(listening)
        with _as_files(tls) as files:
            server = _Server(partial(self._serve, requests), listening, self._connections, self._http1, files)
            serving = _Serving(server, asyncio.create_task(server.serve()), requests, listening)
            try:
                await _answers(listening.getsockname(), listening.family, serving.task, tls)
            except BaseException:
                await self._end(serving)
                raise
        serving.descriptors = _descriptors_of(listening) - there
        return serving

    async def _end(self, serving: _Serving) -> None:
        serving.server.stop()  # type: ignore[no-untyped-call]
        done, _ = await asyncio.wait([serving.task], timeout=self._drain_timeout_s)
        if not done:
            for request in tuple(serving.requests):
                request.cancel()
            await asyncio.wait([serving.task], timeout=self._drain_timeout_s)
        await stop_task(serving.task)

    async def _serve(self, requests: set[asyncio.Task[Any]], scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server called the application outside of a task")
        requests.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            requests.discard(task)


class _Serving:
    """A server, the task that it runs in, the requests that are inside, and its own descriptors of the socket."""

    __slots__ = ("_listening", "descriptors", "requests", "server", "task")

    def __init__(
        self,
        server: _Server,
        task: asyncio.Task[None],
        requests: set[asyncio.Task[Any]],
        listening: socket.socket,
    ) -> None:
        self.server, self.task, self.requests, self._listening = server, task, requests, listening
        self.descriptors: set[int] = set()

    def deafen(self) -> None:
        """Accept nobody any more, without stopping: what is in the queue of the socket is for the other servers on it.

        The library has no word for this. Its descriptors are made to mean a socket to which nobody connects, so its
        next accept finds nothing; they are its own, and closed by it like before.
        """
        still = self.descriptors & _descriptors_of(self._listening)
        with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
            deaf.setblocking(False)
            for descriptor in still:
                os.dup2(deaf.fileno(), descriptor, inheritable=False)


def _descriptors_of(listening: socket.socket) -> set[int]:
    """All descriptors of this process that mean this very socket."""
    wanted, found = os.fstat(listening.fileno()), set[int]()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            one = os.fstat(int(path.name))
            if (one.st_dev, one.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.add(int(path.name))
    return found


class _Server(Server):
    """granian, on a socket that is already bound.

    By itself it binds with SO_REUSEPORT, and a second service on the same port would silently take half of the
    requests; and it does not say which port it got for 0.
    """

    def __init__(
        self, app: App, listening: socket.socket, connections: int, http1: HTTP1Settings, tls: _TlsFiles | None
    ) -> None:
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
        if tls is not None:
            # What granian would make of its own arguments, but for looking at the files a second time.
            proto = SSLProtocols.tls13 if tls.min_version == "1.3" else SSLProtocols.tls12
            asked = tls.client_ca is not None
            self.ssl_ctx = (True, tls.chain, tls.key, None, str(proto), tls.client_ca, tls.revoked, asked)  # type: ignore[assignment]

    def _init_shared_socket(self) -> None:
        # granian closes the descriptor it is given, so it is given one of its own.
        self._ssp = None
        holder: Any = SocketHolder
        self._shd = holder(os.dup(self._listening.fileno()), False, BACKLOG)


class _TlsFiles:
    """Where the server finds what it is to serve, while it starts."""

    __slots__ = ("chain", "client_ca", "key", "min_version", "revoked")

    def __init__(self, chain: str, key: str, client_ca: str | None, revoked: list[str], min_version: str) -> None:
        self.chain, self.key, self.client_ca, self.min_version = chain, key, client_ca, min_version
        self.revoked = revoked


@contextlib.contextmanager
def _as_files(tls: Served | None) -> Iterator[_TlsFiles | None]:
    """``tls`` as the files that granian asks for: in memory, without a name, gone when it has read them."""
    if tls is None:
        yield None
        return
    with contextlib.ExitStack() as open_files:

        def put(data: bytes) -> str:
            handle = os.memfd_create("rco-tls", os.MFD_CLOEXEC)
            open_files.callback(os.close, handle)
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            return f"/proc/self/fd/{handle}"

        client_ca = put(tls.client_ca) if tls.client_ca else None
        revoked = [put(tls.revoked)] if tls.revoked else []
        yield _TlsFiles(put(tls.chain), put(tls.private_key), client_ca, revoked, tls.min_version)


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
        # Connections have it from here: the second segment of an answer is not to wait until the first is acknowledged.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


async def _answers(address: Any, family: int, serving: asyncio.Task[None], tls: Served | None) -> None:
    """Returns when the server gives an answer, with ``tls`` the one that serves it; raises what ended it, or
    ``TimeoutError``."""
    host = address[0]
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
    asking = _probe((host, *address[1:]), family) if tls is None else _shakes_hands(host, address[1], tls)
    probe = asyncio.create_task(asking)
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
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        await loop.sock_connect(asking, address)
        await loop.sock_sendall(asking, _PROBE)
        if not await loop.sock_recv(asking, 16):
            raise ConnectionError("the server closed the connection without an answer")


async def _shakes_hands(host: str, port: int, tls: Served) -> None:
    """Returns when a handshake shows the certificate of ``tls``: another server may be on the same socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What is looked for is this very certificate; whether others would trust it is theirs to say.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port, ssl=context)
        except OSError:
            await asyncio.sleep(PROBE_EVERY_S)
            continue
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        if shown == tls.leaf:
            return
        await asyncio.sleep(PROBE_EVERY_S)
