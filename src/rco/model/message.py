"""A message to a run: a signal, an event it waited for, a child's result, a request to cancel."""

from __future__ import annotations

import msgspec

__all__ = ["BEGIN", "HANDED", "NOTHING", "Message"]

BEGIN = "begin"
"""Kind, name and identity of the message that a run's turn has come."""

HANDED = "handed"
"""Kind, name and identity of the message that a run is its owner's by now: it was opened, or moved to its version, by a
node that does not own its shard. It is taken when the run is loaded, and says nothing to its code."""
NOTHING = b"\xc0"
"""The body of a message that says all by being there: MessagePack's nothing."""


class Message(msgspec.Struct, frozen=True):
    """Delivered once: a second message with the same ``message_id`` to the same run has no effect."""

    run_id: bytes
    message_id: str
    kind: str
    """``signal``, ``event``, ``child``, ``cancel``, ``settle``, ``pause``, ``resume``, ``terminate``,
    ``begin`` or ``handed``."""
    name: str
    body: bytes
    """MessagePack."""
    at_us: int
    namespace: str = "default"
    """The run's, for who sends it; who reads it knows the run."""
