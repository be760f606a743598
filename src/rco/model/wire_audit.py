"""Bodies of the control API about decisions and where they are kept; see ``rco.model.wire``."""

from __future__ import annotations

from typing import Any

from rco.model.body import View

__all__ = ["RecentAudit", "RecordView", "SinkView", "TailItem", "TailPage"]


class RecordView(View, frozen=True, kw_only=True):
    """One decision as the sink ``memory`` has it. ``n``, ``prev`` and ``hash`` are its place in that sink's chain."""

    n: int
    prev: str
    hash: str
    decision: dict[str, Any]


class SinkView(View, frozen=True, kw_only=True):
    """One sink of this node. ``dropped``: lost because its queue was full; ``waiting``: not written yet. ``n`` and
    ``head``: number and hash of its last record."""

    sink: str
    written: int
    dropped: int
    waiting: int
    n: int
    head: str


class RecentAudit(View, frozen=True, kw_only=True):
    """The newest decisions of the node that answers, newest first. ``displaced``: how many the ring no longer has."""

    items: list[RecordView]
    displaced: int
    sinks: list[SinkView]


class TailItem(View, frozen=True, kw_only=True):
    """One decision as an event. ``chain`` and ``n`` say where it stands in the evidence."""

    type: str
    at: str
    chain: str
    n: int
    decision: dict[str, Any]


class TailPage(View, frozen=True, kw_only=True):
    """Decisions in the order of their time. ``next`` is what comes after them; ``whole``: there was nothing more."""

    items: list[TailItem]
    next: str
    whole: bool
