"""Which traces are recorded, and under which identities what comes in goes on."""

from __future__ import annotations

from collections.abc import Callable

from rco.kit.ids import Ids
from rco.telemetry.span import Span
from rco.telemetry.trace import TraceContext, new_trace, parse_traceparent

__all__ = ["Tracer"]

_RECORDED = frozenset("13579bdf")
"""Of a ``traceparent`` the last digit, where it says so."""
_SCALE = 1 << 56
"""Of a trace's identity the last 7 bytes are random (https://www.w3.org/TR/trace-context-2/#randomness-of-trace-id)."""


class Tracer:
    """Gives identities to spans and hands those that are recorded to ``keep``. Without it nothing is recorded here, and
    traces go through as they came.

    Whoever began a trace has decided whether it is recorded; of those that begin here ``ratio`` are, and which ones
    is told by their identities alone, so that every node that sees one decides the same.
    """

    __slots__ = ("_ids", "_keep", "_ratio")

    def __init__(self, ids: Ids, ratio: float = 1.0, keep: Callable[[Span], None] | None = None) -> None:
        self._ids, self._keep = ids, keep
        self._ratio = round(ratio * _SCALE)

    @property
    def on(self) -> bool:
        """Whether spans are made at all."""
        return self._keep is not None

    def came(self, caller: str) -> tuple[str, str]:
        """The ``traceparent`` under which goes on what came with ``caller``'s (empty: with none), and the identity of
        the span before it (empty: a trace begins)."""
        parent = parse_traceparent(caller) if caller else None
        if parent is None:
            return self.root(), ""
        if self._keep is None:
            # What is not recorded stands in nobody's way.
            return caller, parent.span_id
        return parent.child(self._ids).traceparent, parent.span_id

    def root(self, span_id: str = "") -> str:
        """The ``traceparent`` of a trace that begins with this span, or with a new one."""
        context = new_trace(self._ids)
        recorded = self._wanted(context.trace_id)
        return TraceContext(context.trace_id, span_id or context.span_id, recorded).traceparent

    def child(self, trace: str) -> str:
        """The ``traceparent`` of a new span under that of ``trace``; empty where its trace is not recorded."""
        if self._keep is None or trace[-1:] not in _RECORDED:
            return ""
        return f"{trace[:36]}{self._ids.token(8)}{trace[52:]}"

    def end(self, trace: str, span: Callable[[str, str], Span]) -> None:
        """Record ``span(trace_id, span_id)`` of the ``traceparent`` ``trace``, if its trace is recorded."""
        if self._keep is not None and trace[-1:] in _RECORDED:
            self._keep(span(trace[3:35], trace[36:52]))

    def _wanted(self, trace_id: str) -> bool:
        return self._keep is None or int(trace_id[-14:], 16) < self._ratio
