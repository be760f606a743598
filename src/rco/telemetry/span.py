"""A span: a piece of work with a beginning and an end, as OpenTelemetry tells it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

__all__ = ["Span", "SpanKind", "Value"]

Value = str | int | bool


class SpanKind(StrEnum):
    """On which side of an exchange it was, if any (https://opentelemetry.io/docs/specs/otel/trace/api/#spankind)."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One that has ended. Times are microseconds since 1970; identities are as in ``TraceContext``."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """Empty: the first of its trace."""
    name: str
    """One of few: no identity, no path with its values, nothing that a request brought."""
    kind: SpanKind = SpanKind.INTERNAL
    began_us: int
    ended_us: int
    error: str = ""
    """Why it failed, one of few words; empty when it did not."""
    attributes: Mapping[str, Value] = {}
