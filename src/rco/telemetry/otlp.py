"""The one door to OpenTelemetry's library: spans over HTTP, as OTLP (https://opentelemetry.io/docs/specs/otlp/).

Imported only where spans are sent: the library is an extra of the package, and takes long to load.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from rco.telemetry.span import Span

__all__ = ["OtlpSender"]

_PATH = "/v1/traces"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpSender:
    """A ``Sender``. What is said of whoever sends stands in ``resource``; ``headers`` are never written anywhere."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        resource: Mapping[str, str],
        version: str,
    ) -> None:
        base = endpoint.rstrip("/")
        self._exporter = OTLPSpanExporter(
            endpoint=base if base.endswith(_PATH) else base + _PATH, headers=dict(headers), timeout=timeout_s
        )
        # It tells of every attempt, and of answers with all that is in them; the queue tells of trouble once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._closed = False
        self._resource = Resource(dict(resource))
        self._scope = InstrumentationScope("rco", version)

    def send(self, spans: Sequence[Span]) -> bool:
        """One request, repeated within the time given where the collector asks for it."""
        return self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """End a wait between two requests. A second call changes nothing."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int(span.trace_id, 16)
        parent = None
        if span.parent_id:
            parent = SpanContext(trace_id, int(span.parent_id, 16), is_remote=False, trace_flags=_SAMPLED)
        return ReadableSpan(
            name=span.name,
            context=SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED),
            parent=parent,
            resource=self._resource,
            attributes={**span.attributes, **({"error.type": span.error} if span.error else {})},
            kind=SpanKind[span.kind.name],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=span.began_us * 1000,
            end_time=span.ended_us * 1000,
        )
