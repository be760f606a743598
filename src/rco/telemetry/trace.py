"""W3C trace context (https://www.w3.org/TR/trace-context/): who belongs to the same story."""

from __future__ import annotations

import re

import msgspec

from rco.kit.ids import Ids

__all__ = [
    "TRACEPARENT_CHARS",
    "TraceContext",
    "new_trace",
    "parse_traceparent",
    "plain_traceparent",
    "span_id_of",
    "span_of",
]

TRACEPARENT_CHARS = 55
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)
_SAMPLED = 0x01
_MAX_CHARS = 256
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class TraceContext(msgspec.Struct, frozen=True):
    """One span of a trace: ``trace_id`` is 32 and ``span_id`` 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header's value, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def child(self, ids: Ids) -> TraceContext:
        """A new span in the same trace."""
        return TraceContext(self.trace_id, _other(ids.token(8), _NO_SPAN), self.sampled)


def parse_traceparent(text: str | None) -> TraceContext | None:
    """The caller's span, or ``None`` when the header is absent or not exactly of the form: then a new trace begins.

    Versions above 00 are read as far as 00 goes, as the standard asks; version ff, identities of zeros only, and
    upper-case digits are not accepted.
    """
    if not text or len(text) > _MAX_CHARS:
        return None
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def plain_traceparent(text: str | None) -> str:
    """The header's value in its plain form, version 00, or nothing where ``parse_traceparent`` finds none."""
    context = parse_traceparent(text)
    return "" if context is None else context.traceparent


def new_trace(ids: Ids, *, sampled: bool = True) -> TraceContext:
    """The first span of a new trace."""
    text = ids.token(24)
    return TraceContext(_other(text[:32], _NO_TRACE), _other(text[32:], _NO_SPAN), sampled)


def span_id_of(identity: bytes) -> str:
    """The span of something that has a UUIDv7: its last 8 bytes, never zeros only, the same on every node."""
    return identity[8:].hex()


def span_of(trace: str, identity: bytes) -> str:
    """The ``traceparent`` of that span, in the trace of the well-formed ``traceparent`` ``trace``."""
    return f"{trace[:36]}{identity[8:].hex()}{trace[52:]}"


def _other(text: str, reserved: str) -> str:
    # The standard reserves the identity of zeros only; one in 2**64 draws gives it.
    return text if text != reserved else text[:-1] + "1"
