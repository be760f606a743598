"""Where spans go: nowhere, or through a thread of their own to a collector."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib.util import find_spec

from rco import __version__
from rco.assembly.ground import Ground
from rco.errors import ConfigInvalid
from rco.telemetry import signals
from rco.telemetry.span_queue import Sender, SpanQueue
from rco.telemetry.tracer import Tracer

__all__ = ["open_tracer"]

GRACE_S = 2.0
"""What waits at a stop is sent within it, or dropped."""


def open_tracer(ground: Ground, node: str) -> Tracer:
    """The tracer of the service. Raises ``ConfigInvalid`` where the library or a secret is missing."""
    options = ground.settings.tracing
    if not options.enabled:
        return Tracer(ground.ids)
    # It is loaded by the thread that sends: not for a start.
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        raise ConfigInvalid(
            "needs a library that is not installed", cure="pip install 'rco[otlp]'.", key="tracing.enabled"
        )
    headers = {name: ground.secrets(reference) for name, reference in options.headers.items()}
    resource = {"service.name": options.service_name, "service.version": __version__, "service.instance.id": node}

    def sender() -> Sender:
        from rco.telemetry.otlp import OtlpSender

        return OtlpSender(
            options.endpoint, headers=headers, timeout_s=options.timeout_s, resource=resource, version=__version__
        )

    sent, refused, full = (
        ground.metrics.counter(signals.SPANS, outcome=outcome) for outcome in ("sent", "refused", "full")
    )
    queue = SpanQueue(
        sender,
        limit=options.queue,
        every_s=options.every_s,
        told_sent=sent.add,
        told_refused=refused.add,
        told_full=full.add,
        trouble=ground.warn("tracing.behind"),
    )
    ground.metrics.gauge(signals.SPANS_WAITING).watch(lambda: queue.waiting)
    ground.stops.append(partial(asyncio.to_thread, queue.stop, GRACE_S))
    return Tracer(ground.ids, options.sample_ratio, queue.put)
