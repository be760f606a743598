"""An event: something that happened, verified, in the shape of CloudEvents 1.0."""

from __future__ import annotations

import msgspec

__all__ = ["Event"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A verified CloudEvent (https://github.com/cloudevents/spec, version 1.0).

    ``data`` is the JSON text as bytes, exactly as it was verified; it is decoded only by who reads it. ``subject`` is
    what runs correlate on. ``origin`` is the provider's name, or ``run:<id>`` for an emitted event.
    """

    id: str
    source: str
    type: str
    data: bytes
    time_us: int
    received_us: int
    corr_id: str
    subject: str | None = None
    namespace: str = "default"
    origin: str = ""
    trace: str = ""
    """W3C ``traceparent`` of the request that brought it."""
