"""Accepted webhooks: over HTTP, signed, every one new, durable before the 202, each starting a run."""

from __future__ import annotations

import asyncio

from bench.figure import Asked, Measured, Reach, percentile
from bench.question import BOTH, Question, Round
from bench.service import LIMITS, Service, send
from bench.signing import BODY_BYTES
from rco.measure.rig import durability
from rco.measure.usage import cpu_s, tree_cpu_s

__all__ = ["QUESTION"]

CONNECTIONS = 64
REST_S = 0.005
"""In a tenth of a second; less than one tick of the kernel's account."""
_DONE = "closed_run WHERE outcome = 'completed'"


async def _ask(round: Round) -> list[Measured]:
    count, few, warm = round.count(5_000, least=64), round.count(300, least=10), round.count(1_000, least=10)
    async with round.place() as place, Service(round.folder / "node", place) as service:
        await send(service.port, type="invoice.paid", prefix="warm", connections=CONNECTIONS, count=warm)
        await service.until(_DONE, warm)
        await _rested(service)
        before = _used_s(service)
        load = await send(service.port, type="invoice.paid", prefix="load", connections=CONNECTIONS, count=count)
        await service.until(_DONE, warm + count)
        used_s = _used_s(service) - before
        # What was promised by a 202 must be there; a refusal of any kind makes the figure worthless.
        assert load.statuses == {202: count}, load.statuses
        stored = await service.count("event")
        assert stored == warm + count, f"{stored} events are stored, {warm + count} were accepted"
        alone = await send(service.port, type="invoice.paid", prefix="alone", connections=1, count=few)
        assert alone.statuses == {202: few}, alone.statuses
        told = durability(place)
    settings = {
        **told,
        "evidence": "on",
        "cpu": "service and database",
        "metrics": "on",
        "limits": LIMITS,
        "connections": CONNECTIONS,
        "body_bytes": BODY_BYTES,
        "scheme": "standard-webhooks",
        "each": "verified, stored, answered 202; a run started and closed; both counted in the store afterwards",
        "sender_cpu_us_each": round_us(load.cpu_s / count),
    }
    cost = used_s / count * 1000
    found = {
        "webhooks": count / load.took_s,
        "webhooks-p50": percentile(load.wait_ms, 50),
        "webhooks-p99": percentile(load.wait_ms, 99),
        "webhook-alone-p50": percentile(alone.wait_ms, 50),
        "webhook-alone-p99": percentile(alone.wait_ms, 99),
    }
    return [
        Measured(name=name, value=value, cpu_s_per_1000=None if "alone" in name else cost, settings=settings)
        for name, value in found.items()
    ]


async def _rested(service: Service) -> None:
    """Return when the service has loaded what a start leaves for later: that is no webhook's cost."""
    used = cpu_s(service.pid)
    for _ in range(100):
        await asyncio.sleep(0.1)
        before, used = used, cpu_s(service.pid)
        if used - before < REST_S:
            return


def _used_s(service: Service) -> float:
    server = service.place.server_pid
    return cpu_s(service.pid) + (tree_cpu_s(server) if server else 0.0)


def round_us(seconds: float) -> float:
    return round(seconds * 1e6, 1)


QUESTION = Question(
    asked=(
        Asked(
            name="webhooks",
            text=f"accepted webhooks, {CONNECTIONS} connections, 1 KiB, each starting a run",
            unit="/s",
            reach=Reach(5_000),
            against="http-floor",
            compare="rate",
        ),
        Asked(name="webhooks-p50", text="… answered after, p50", unit="ms"),
        Asked(name="webhooks-p99", text="… p99", unit="ms", reach=Reach(30, at_most=True)),
        Asked(
            name="webhook-alone-p50",
            text="accepted webhook, one connection, answered after, p50",
            unit="ms",
            against="bare-1",
            compare="wait",
        ),
        Asked(name="webhook-alone-p99", text="… p99", unit="ms", against="bare-1", compare="wait"),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=2,
)
