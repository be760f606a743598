"""A collector: a real server that takes OTLP, read by OpenTelemetry's own classes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

__all__ = ["Collector", "Seen"]

KINDS = {1: "internal", 2: "server", 3: "client"}


class Seen(msgspec.Struct, frozen=True):
    """A span as it arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    began_ns: int
    ended_ns: int
    error: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: tuple[str, str]


class Collector:
    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        """What the next requests are answered, before 200."""
        self._arrived = asyncio.Condition()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._arrived:
            self.headers.append(dict(request.headers))
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.spans += read(body)
            self._arrived.notify_all()
        return web.Response(status=status)

    async def until(self, condition: Callable[[list[Seen]], Any]) -> list[Seen]:
        """The spans, once ``condition`` holds of them."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.spans))
        return list(self.spans)

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: len(self.headers) >= times)


def read(body: bytes) -> list[Seen]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        told = {one.key: value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [
                Seen(
                    trace_id=one.trace_id.hex(),
                    span_id=one.span_id.hex(),
                    parent_id=one.parent_span_id.hex(),
                    name=one.name,
                    kind=KINDS[one.kind],
                    began_ns=one.start_time_unix_nano,
                    ended_ns=one.end_time_unix_nano,
                    error=one.status.message if one.status.code == 2 else "",
                    attributes={each.key: value(each.value) for each in one.attributes},
                    resource=told,
                    scope=(scope.scope.name, scope.scope.version),
                )
                for one in scope.spans
            ]
    return found


def value(given: AnyValue) -> Any:
    return getattr(given, given.WhichOneof("value"))
