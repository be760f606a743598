"""From the settings to a trail with its sinks open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rco.audit.options import AuditOptions
from rco.audit.outlets import Descriptor, Ring, open_file
from rco.audit.record import Chain
from rco.audit.sink import Sink, Sinking, Written
from rco.audit.trail import Trail
from rco.model.decision import Decision
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["open_trail"]


def open_trail(
    options: AuditOptions,
    *,
    store: Callable[[Decision], None],
    now_us: int,
    metrics: Metrics,
    trouble: Callable[[str, OSError], None],
) -> Trail:
    """The trail to the sinks of ``options``; ``trouble`` is told, in a sink's own thread, when its writing begins to
    fail. Raises ``ConfigInvalid`` where the file cannot be used; then nothing is open."""
    dropped = metrics.counter(signals.INTEROP_AUDIT_DROPPED)
    sinks: list[Sinking] = []

    def sink(name: str, out: Written, chain: Chain) -> Sink:
        queue = f"audit_{name}"
        of_queue = metrics.counter(signals.INTEROP_QUEUE_DROPPED, queue=queue)

        def told_dropped(count: int) -> None:
            dropped.add(count)
            of_queue.add(count)

        made = Sink(
            name,
            out,
            chain,
            limit=options.queue,
            told_written=metrics.counter(signals.INTEROP_AUDIT_EMITTED, sink=name).add,
            told_dropped=told_dropped,
            trouble=partial(trouble, name),
        )
        metrics.gauge(signals.INTEROP_QUEUE_DEPTH, queue=queue).watch(lambda: made.waiting)
        sinks.append(made)
        return made

    if "file" in options.sinks:
        out, chain, torn = open_file(Path(options.file), now_us)
        file = sink("file", out, chain)
        if torn is not None:
            file.emit(torn)
    if "stdout" in options.sinks:
        sink("stdout", Descriptor(sys.stdout.fileno()), Chain())
    if "memory" in options.sinks:
        sinks.append(Ring(options.ring, metrics.counter(signals.INTEROP_AUDIT_EMITTED, sink="memory").add))
    return Trail(sinks, store if "store" in options.sinks else None)
