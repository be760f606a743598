"""A real listener on a real port, spoken to over raw sockets."""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rco.bridge.admission import AdmissionLimits, Turnstile, open_routes
from rco.bridge.brownout import BrownoutSettings, Sentinel
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.bridge.decompression import DecompressionLimits
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.decision import Decision
from rco.model.delivery import Delivery, Receipt
from rco.server.asgi import Root
from rco.server.caller import CallerOf
from rco.server.health import Health
from rco.server.ingress import Ingress
from rco.server.serving import Listener
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics

KEY = b"0123456789abcdef0123456789abcdef"
BODY = b'{"type":"invoice.paid","customer":"Zaphod Beeblebrox"}'
# Far above anything that is waited for; only a test that already failed meets it.
GIVE_UP_S = 30.0


class Answer:
    """One HTTP answer. ``rest`` is what came after it, ``closed`` whether the server then closed the connection."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason, having checked that the envelope is exactly the envelope."""
        found = self.json
        assert sorted(found) == ["corr_id", "error", "reason"]
        assert found["corr_id"] == self.header("x-corr-id")
        assert self.header("content-type") == "application/json"
        return str(found["reason"])


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                if not head[0].startswith("HTTP/1.1 100"):
                    break
            headers = [
                (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)
            ]
            length = int(dict(headers).get("content-length", "0"))
            return Answer(int(head[0].split(" ")[1]), headers, await self.reader.readexactly(length))

    async def closed(self) -> bytes:
        """What still came before the server closed the connection."""
        async with asyncio.timeout(GIVE_UP_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.close()


class Edge:
    """The running edge, and all that it told its surroundings."""

    def __init__(self, **changed: Any) -> None:
        self.clock = SystemClock()
        self.decisions: list[Decision] = []
        self.deliveries: list[Delivery] = []
        self.seen: dict[bytes, str] = {}
        self.log_text = io.StringIO()
        self.metrics = Metrics(process=False)
        self.answer_with: Callable[[Delivery], Awaitable[Receipt]] | None = None
        limits = {"rate_per_s": 1e6, "burst": 100_000, **changed.pop("limits", {})}
        self.turnstile = Turnstile(AdmissionLimits(**limits), self.clock)
        secrets: dict[str, str] = changed.pop("secrets", {})
        self.turnstile.replace(
            open_routes(
                changed.pop("only", None) or [*_providers(**changed.pop("provider", {})), *changed.pop("more", [])],
                resolve=lambda ref: secrets[ref].encode() if ref in secrets else _resolve(ref),
                clock=self.clock,
                certificates=changed.pop("certificates", None),
            )
        )
        self.sentinel = Sentinel(changed.pop("brownout", BrownoutSettings()), self.clock.monotonic())
        self.ingress = Ingress(
            sentinel=self.sentinel,
            turnstile=self.turnstile,
            receive=self._receive,
            note=self.decisions.append,
            clock=self.clock,
            ids=Ids(self.clock),
            metrics=self.metrics,
            log=Log(self.log_text, self.clock, pseudonym_key=b"k" * 32),
            read_timeout_s=changed.pop("read_timeout_s", 5.0),
            handler_timeout_s=changed.pop("handler_timeout_s", 30.0),
            decompression=DecompressionLimits(**changed.pop("decompression", {})),
            caller_of=CallerOf(changed.pop("proxies", ())),
        )
        self.ready: dict[str, bool] = {"store_writable": True}
        root = Root(
            clock=self.clock,
            ids=Ids(self.clock),
            metrics=self.metrics,
            ingress=self.ingress,
            health=Health(
                checks={key: (lambda key=key: self.ready[key]) for key in self.ready}, version={"version": "1.2.3"}
            ),
            mounts=changed.pop("mounts", {}),
        )
        self.listener = Listener(root, **changed)
        self._wires: list[Wire] = []

    async def _receive(self, delivery: Delivery) -> Receipt:
        if self.answer_with is not None:
            return await self.answer_with(delivery)
        self.deliveries.append(delivery)
        first = self.seen.setdefault(delivery.claim, delivery.event.corr_id)
        return Receipt(first != delivery.event.corr_id, first)

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.listener.port))
        self._wires.append(wire)
        return wire

    async def ask(self, data: bytes) -> Answer:
        wire = await self.connect()
        await wire.send(data)
        return await wire.answer()

    def signed(self, body: bytes = BODY, *more: tuple[str, str], message_id: str = "msg_1") -> list[tuple[str, str]]:
        stamp = str(self.clock.now_us() // 1_000_000)
        digest = hmac.new(KEY, f"{message_id}.{stamp}.".encode() + body, "sha256").digest()
        return [
            ("Host", "rco.example"),
            ("Content-Type", "application/json"),
            ("webhook-id", message_id),
            ("webhook-timestamp", stamp),
            ("webhook-signature", "v1," + base64.b64encode(digest).decode()),
            *more,
        ]

    def request(
        self,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = BODY,
        *,
        path: str = "/webhooks/acme",
        method: str = "POST",
        length: bool = True,
    ) -> bytes:
        """The bytes of a request, signed and announced unless said otherwise."""
        lines = [*(self.signed(body) if headers is None else headers)]
        if length:
            lines.append(("Content-Length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body

    def metric(self, start: str) -> float:
        """The value of the one line of the metrics that starts like this, or 0."""
        lines = [line for line in self.metrics.render().decode().splitlines() if line.startswith(start)]
        assert len(lines) <= 1, lines
        return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0

    async def stop(self) -> None:
        for wire in self._wires:
            wire.close()
        await self.listener.stop()


def _resolve(ref: str) -> bytes:
    return {"env:ACME": b"whsec_" + base64.b64encode(KEY), "env:PLAIN": KEY}[ref]


def _providers(**changed: Any) -> list[ProviderSettings]:
    acme = SecretRef(secret_id="main", ref="env:ACME")
    plain = SecretRef(secret_id="main", ref="env:PLAIN")
    scheme = {"signature_header": "X-Signature"}
    return [
        ProviderSettings(name="acme", kind="standard-webhooks", secrets=[acme], **changed),
        ProviderSettings(name="plain", kind="hmac", secrets=[plain], scheme=scheme, bad_signature_status=403),
        ProviderSettings(name="off", kind="standard-webhooks", secrets=[acme], enabled=False),
    ]


@pytest.fixture
async def run_edge() -> AsyncIterator[Callable[..., Awaitable[Edge]]]:
    """Starts edges with the given settings, and stops them."""
    running: list[Edge] = []

    async def run(**changed: Any) -> Edge:
        edge = Edge(**changed)
        running.append(edge)
        await edge.listener.start()
        return edge

    yield run
    for edge in running:
        await edge.stop()


@pytest.fixture
async def edge(run_edge: Callable[..., Awaitable[Edge]]) -> Edge:
    return await run_edge()
