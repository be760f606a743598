"""Real servers on the loopback, and an egress that may reach them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from rco.egress.client import Egress
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.effect import Answer, Attempt, EffectFailed
from rco.model.target import CallRequest, Rule, Target
from rco.telemetry.metrics import Metrics

SECRET = "s3cret-value-of-the-test"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
ATTEMPT = Attempt(b"\x01" * 16, "charge", 1, "corr-12345678", f"00-{TRACE_ID}-b7ad6b7169203331-01")

Speak = Callable[["Request", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ManualClock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now_us(self) -> int:
        return 1_700_000_000_000_000 + round(self.at * 1e6)

    def monotonic(self) -> float:
        return self.at


class Request:
    """One request as it came over the wire."""

    def __init__(self, head: str, body: bytes) -> None:
        self.line, *fields = head.split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        self.body = body


class Server:
    """Speaks HTTP as badly as a test needs. Counts connections and requests."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.requests: list[Request] = []
        self.port = 0
        self.closed_by_peer = asyncio.Event()

    async def start(self, tls=None, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()[:-4]
                request = Request(head, b"")
                request.body = await reader.readexactly(int(request.headers.get("content-length", 0)))
                self.requests.append(request)
                await self._speak(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed_by_peer.set()
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


def reply(status: int = 200, body: bytes = b"{}", *fields: str, content_type: str = "application/json") -> Speak:
    """A server that always answers the same."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields]

    async def speak(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return speak


class Sockets:
    """Counts the sockets that the guard lets be made."""

    def __init__(self, refuse: frozenset[str] = frozenset()) -> None:
        self.made: list[str] = []
        self._refuse = refuse

    def __call__(self, info: AddrInfoType) -> socket.socket:
        family, kind, proto, _, address = info
        self.made.append(address[0])
        if address[0] in self._refuse:
            raise ConnectionRefusedError(111, "refused by the test")
        return socket.socket(family, kind, proto)


class Names(AbstractResolver):
    """Answers each question with the next answer, and with the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not answer:
            raise OSError(None, "no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in answer
        ]

    async def close(self) -> None:
        return None


class Rig:
    """An egress with what a test wants to look at."""

    def __init__(self) -> None:
        self.sockets = Sockets()
        self.clock = SystemClock()
        self.metrics = Metrics(process=False)
        self._servers: list[Server] = []
        self._egresses: list[Egress] = []

    async def serve(self, speak: Speak, **how) -> Server:
        server = Server(speak)
        await server.start(**how)
        self._servers.append(server)
        return server

    def target(self, server: Server | None = None, **changes) -> Target:
        fields = {
            "name": "shop",
            "base_url": f"http://127.0.0.1:{server.port}" if server else "http://shop.test",
            "allow": [Rule(["GET", "HEAD", "POST", "PUT", "DELETE"], "/a/*")],
            "allow_private": ["127.0.0.0/8"],
            "timeout_s": 20.0,
        }
        return Target(**{**fields, **changes})

    async def egress(self, *targets: Target, **how) -> Egress:
        given = {
            "clock": self.clock,
            "ids": Ids(SystemClock()),
            "resolve_secret": {"env:KEY": SECRET}.__getitem__,
            "metrics": self.metrics,
            "opener": self.sockets,
        }
        egress = Egress(targets, **{**given, **how})
        await egress.start()
        self._egresses.append(egress)
        return egress

    async def stop(self) -> None:
        for egress in self._egresses:
            await egress.stop()
        for server in self._servers:
            await server.stop()


def ask(method: str = "POST", path: str = "/a/1", target: str = "shop", **fields) -> CallRequest:
    return CallRequest(target=target, method=method, path=path, **fields)


async def good(egress: Egress, request: CallRequest | None = None, attempt: Attempt = ATTEMPT) -> Answer:
    return await egress.attempt(request or ask(), attempt)


async def bad(egress: Egress, request: CallRequest | None = None, attempt: Attempt = ATTEMPT) -> EffectFailed:
    with pytest.raises(EffectFailed) as caught:
        await egress.attempt(request or ask(), attempt)
    return caught.value
