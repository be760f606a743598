"""The bridge: the routes of providers, what bounds them, the health that it depends on, and its door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rco.assembly.ground import Ground
from rco.bridge.admission import AdmissionLimits, Route, Turnstile, open_routes
from rco.bridge.brownout import Sentinel
from rco.bridge.certificates import Certificates
from rco.bridge.dependency import Dependency
from rco.bridge.forgetful import Forgetful
from rco.config.settings import Settings
from rco.expr.jq import Expression
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision
from rco.operations.desk import Desk
from rco.operations.receive import receive
from rco.operations.store_health import StoreHealth
from rco.operations.unwell import Unwell
from rco.server.caller import CallerOf
from rco.server.ingress import Ingress
from rco.server.large_bodies import LargeBodies
from rco.store.contract.keeper import Keeper

__all__ = ["Wellness", "limits_of", "open_door", "open_turnstile", "routes_of", "start_forgetting", "start_watching"]


def routes_of(ground: Ground, settings: Settings, certificates: Certificates) -> dict[str, Route]:
    """The routes of the providers in ``settings``, their secrets opened. Raises ``ConfigInvalid``."""
    return open_routes(
        settings.providers.values(),
        resolve=lambda reference: ground.secrets(reference).encode(),
        clock=ground.clock,
        compile_expression=lambda text: Expression.compile(text).first,
        certificates=certificates,
        forgetting_since_us=ground.began_us if settings.amnesia.enabled else None,
    )


def limits_of(settings: Settings) -> AdmissionLimits:
    """What is let in at the most."""
    limits = settings.limits
    return AdmissionLimits(
        rate_per_s=limits.max_rps,
        burst=limits.burst_rps,
        caller_rate_per_s=limits.caller_rps,
        caller_burst=limits.caller_burst,
        inflight=settings.server.max_conns,
    )


def open_turnstile(ground: Ground, certificates: Certificates) -> Turnstile:
    """The turnstile with the routes of the start."""
    turnstile = Turnstile(limits_of(ground.settings), ground.clock)
    turnstile.replace(routes_of(ground, ground.settings, certificates))
    return turnstile


def start_forgetting(ground: Ground, turnstile: Turnstile) -> None:
    """With amnesia, let go of secrets and of the keys made of them, every ``purge_s``; they are read again when
    needed."""
    options = ground.settings.amnesia
    if not options.enabled:
        return

    async def forget() -> None:
        while True:
            await asyncio.sleep(options.purge_s)
            ground.secrets.forget()
            for route in turnstile.routes.values():
                if isinstance(route.verifier, Forgetful):
                    route.verifier.forget()
            ground.log.debug("amnesia.purged")

    forgetting = asyncio.create_task(forget(), name="rco-amnesia")
    ground.stops.append(lambda: stop_task(forgetting))


@dataclass(frozen=True, slots=True)
class Wellness:
    """What the bridge knows of itself: whether it is overwhelmed, and whether the store is there."""

    sentinel: Sentinel
    store: Dependency


async def start_watching(ground: Ground, keeper: Keeper, desk: Callable[[], Desk]) -> Wellness:
    """Ask the store at intervals, and say to all when a brownout begins or ends."""
    settings, clock = ground.settings, ground.clock
    sentinel = Sentinel(settings.brownout, clock.monotonic())
    store = Dependency(
        "store",
        StoreHealth(keeper.reader, keeper.writer, clock).probe,
        clock=clock,
        metrics=ground.metrics,
        told=sentinel.asked,
    )
    unwell = Unwell(sentinel, desk, lambda: keeper.writer.backlog / settings.engine.backlog_limit, (store,))
    await unwell.start()
    ground.stops.append(unwell.stop)
    return Wellness(sentinel, store)


def open_door(
    ground: Ground,
    turnstile: Turnstile,
    sentinel: Sentinel,
    note: Callable[[Decision], None],
    desk: Callable[[], Desk],
    large: LargeBodies,
) -> Ingress:
    """Where webhooks come in. ``note`` records the decision on each."""
    settings = ground.settings
    return Ingress(
        turnstile=turnstile,
        receive=lambda delivery: receive(desk(), delivery),
        note=note,
        clock=ground.clock,
        ids=ground.ids,
        metrics=ground.metrics,
        log=ground.log,
        read_timeout_s=settings.server.read_timeout_s,
        handler_timeout_s=settings.server.handler_timeout_s,
        decompression=settings.decompression,
        caller_of=CallerOf(settings.server.trusted_proxies),
        sentinel=sentinel,
        large=large,
    )
