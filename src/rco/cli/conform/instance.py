"""An instance of the real edge for the vectors alone: real sockets, their secrets and certificates, and a clock that
stands at their time. What it accepts is remembered and goes nowhere."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rco.bridge.admission import AdmissionLimits, Turnstile, open_routes
from rco.bridge.certificates import Certificates
from rco.bridge.contract import ProviderSettings
from rco.cli.conform.cases import Case
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.delivery import Delivery, Receipt
from rco.server.asgi import Root
from rco.server.ingress import Ingress
from rco.server.serving import Listener
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics

__all__ = ["running"]


class _Standing(SystemClock):
    """Wall time stands still; deadlines go on."""

    __slots__ = ("_now_us",)

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us


@asynccontextmanager
async def running(case: Case) -> AsyncIterator[str]:
    """The address of an instance that has exactly this provider."""
    clock = _Standing(case["now_us"])
    ids, metrics = Ids(clock), Metrics(process=False)
    served: dict[str, str] = case.get("certificates", {})

    async def fetch(url: str, limit_bytes: int) -> tuple[int, bytes]:
        found = served.get(url, "").encode()
        return (200, found) if 0 < len(found) <= limit_bytes else (404, b"")

    roots = [x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER) for pem in case.get("roots", [])]
    turnstile = Turnstile(AdmissionLimits(rate_per_s=1e6, burst=100_000), clock)
    turnstile.replace(
        open_routes(
            [msgspec.convert(case["settings"], ProviderSettings)],
            resolve=lambda ref: str(case["secrets"][ref]).encode(),
            clock=clock,
            certificates=Certificates(fetch, clock, lambda: roots),
        )
    )
    first: dict[bytes, str] = {}

    async def receive(delivery: Delivery) -> Receipt:
        corr_id = first.setdefault(delivery.claim, delivery.event.corr_id)
        return Receipt(corr_id != delivery.event.corr_id, corr_id)

    ingress = Ingress(
        turnstile=turnstile,
        receive=receive,
        note=lambda _: None,
        clock=clock,
        ids=ids,
        metrics=metrics,
        log=Log(io.StringIO(), clock, pseudonym_key=bytes(32)),
    )
    listener = Listener(Root(clock=clock, ids=ids, metrics=metrics, ingress=ingress))
    await listener.start()
    try:
        yield f"http://{listener.host}:{listener.port}"
    finally:
        await listener.stop()
