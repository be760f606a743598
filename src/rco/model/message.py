"""A message to a run: a signal, an event it waited for, a child's result, a request to cancel."""

from __future__ import annotations

import msgspec

__all__ = ["Message"]


class Message(msgspec.Struct, frozen=True):
    """Delivered once: a second message with the same ``message_id`` to the same run has no effect."""

    run_id: bytes
    message_id: str
    kind: str
    """``signal``, ``event``, ``child``, ``cancel``, ``settle``, ``pause``, ``resume`` or ``terminate``."""
    name: str
    body: bytes
    """MessagePack."""
    at_us: int
    namespace: str = "default"
    """The run's, for who sends it; who reads it knows the run."""
