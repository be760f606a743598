"""The doors of a service: what is mounted where, and the listeners before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

from rco.assembly.content import Content
from rco.assembly.ground import Ground
from rco.config.check import check_address
from rco.config.settings import Settings
from rco.egress.client import preload
from rco.errors import ConfigInvalid
from rco.kit import memory
from rco.kit.clock import MICROS
from rco.operations.access import Access
from rco.operations.desk import Desk
from rco.server.asgi import Root
from rco.server.deferred import Deferred
from rco.server.framing import App
from rco.server.health import Health
from rco.server.ingress import Ingress
from rco.server.metrics import MetricsApp
from rco.server.serving import Listener
from rco.server.tls import Served, read_certificate
from rco.telemetry import signals

__all__ = ["certificate_of", "control_api", "graph", "open_listeners", "revocations_ended"]


def certificate_of(ground: Ground, settings: Settings) -> Served | None:
    """What the listener is to serve, read anew; ``None`` without TLS. Raises ``ConfigInvalid`` for what cannot be
    served."""
    if not settings.tls.enabled:
        return None
    served = read_certificate(settings.tls, ground.secrets, ground.clock.now_us())
    ground.metrics.gauge(signals.TLS_NOT_AFTER).set(served.not_after_us / MICROS)
    ground.metrics.gauge(signals.TLS_REVOCATIONS_UNTIL).set(served.revoked_until_us / MICROS)
    return served


def revocations_ended(ground: Ground) -> None:
    """Say that no client is let in any more."""
    ground.log.error(
        "tls.revocations_expired",
        detail="a list of tls.client_revocations has expired: every client is refused until a newer one is there",
    )


def control_api(
    ground: Ground, access: Access, desk: Callable[[], Desk], failed: Callable[[BaseException], None]
) -> Deferred:
    """The control API, made once the service is up."""
    settings = ground.settings

    def make() -> App:
        # Its framework takes as long to load as all the rest: not before the service is up. Nor what calls go through,
        # nor what a scrape needs.
        from rco.server.api.app import control_api as make_api

        preload()
        import_module("rco.telemetry.exposition")

        return make_api(
            desk,
            access,
            body_limit_bytes=settings.limits.body_limit_bytes,
            read_timeout_s=settings.server.read_timeout_s,
        )

    return Deferred(make, ready=memory.settle, failed=failed)


def graph(
    ground: Ground,
    access: Access,
    desk: Callable[[], Desk],
    failed: Callable[[BaseException], None],
    ingress: Ingress,
    content: Content | None,
) -> Deferred | None:
    """The graph, where it is wanted. Raises ``ConfigInvalid`` where what it needs is not installed."""
    settings = ground.settings
    if not settings.graphql.enabled:
        return None
    if find_spec("strawberry") is None:
        raise ConfigInvalid(
            "needs a library that is not installed", cure="pip install 'rco[graphql]'.", key="graphql.enabled"
        )

    def make() -> App:
        from rco.server.graphql.app import graphql_app

        return graphql_app(
            desk,
            access,
            options=settings.graphql,
            contents=None if content is None or content.app is None else content.store,
            admit=ingress.admit,
            body_limit_bytes=settings.limits.body_limit_bytes,
            read_timeout_s=settings.server.read_timeout_s,
        )

    return Deferred(make, ready=memory.settle, failed=failed)


async def open_listeners(
    ground: Ground,
    ingress: Ingress,
    health: Health,
    mounts: Mapping[str, App],
    listeners: list[Listener],
) -> None:
    """Bind both addresses; ``listeners`` gets the service's and that of the metrics, each as it is bound."""
    server, metrics = ground.settings.server, ground.metrics
    root = Root(clock=ground.clock, ids=ground.ids, metrics=metrics, ingress=ingress, health=health, mounts=mounts)
    for app, address, tls in (
        (root, server.bind_addr, certificate_of(ground, ground.settings)),
        (MetricsApp(metrics=metrics, health=health, ids=ground.ids), server.metrics_addr, None),
    ):
        host, port = check_address(address)
        listener = Listener(
            app,
            host,
            port,
            connections=server.max_conns,
            header_timeout_s=server.read_timeout_s,
            drain_timeout_s=server.drain_timeout_s,
            tls=tls,
        )
        listeners.append(listener)
        await listener.start()
        ground.stops.append(listener.stop)
