"""What can be set about traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

__all__ = ["TracingOptions", "faults"]


class TracingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans of webhooks, runs, steps and calls are sent, by OTLP over HTTP. Needs the extra `otlp`. Changes with
    a restart."""

    enabled: bool = False
    """Spans are made and sent. Without it `traceparent` is still passed on, and a trace begun where there is none."""
    endpoint: str = "http://127.0.0.1:4318"
    """Of a collector: `/v1/traces` is added, as OpenTelemetry's own variables have it."""
    headers: dict[str, str] = {}
    """Sent with each batch; the values are references to secrets (`env:NAME`, `file:/path`)."""
    sample_ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Of the traces that begin here so many are recorded. For others their caller has decided already."""
    service_name: str = "rco"
    """The resource's `service.name`."""
    queue: Annotated[int, Meta(ge=1, le=1_000_000)] = 8192
    """So many spans may wait to be sent; over it what comes is dropped and counted."""
    every_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    """So long a span waits for others at the most; 512 do not wait."""
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0
    """Within it a batch is taken by the collector, repeats included, or dropped and counted."""


def faults(options: TracingOptions, is_reference: Callable[[str], Any]) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure."""
    try:
        parts = urlsplit(options.endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        # What stands before an @ is a secret.
        shown = "what it names" if "@" in options.endpoint else repr(options.endpoint)
        yield "tracing.endpoint", f"{shown} is no address", "Write e.g. http://127.0.0.1:4318."
    elif parts.username or parts.query or parts.fragment:
        yield "tracing.endpoint", "holds more than an address", "Give secrets by tracing.headers."
    for name, reference in options.headers.items():
        if not is_reference(reference):
            yield f"tracing.headers.{name}", "is not a reference to a secret", "Write env:NAME or file:/path."
        if not (name.isascii() and name.replace("-", "").isalnum()):
            yield f"tracing.headers.{name[:64]}", "is no name of a header", "Write e.g. authorization."
