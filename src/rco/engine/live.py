"""An open run in its owner's memory."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from rco.engine.machine import Machine
from rco.engine.operation import Operation
from rco.model.message import Message
from rco.model.payload import Kept
from rco.model.run import shard_of
from rco.store.contract.changes import Changes, Draft
from rco.telemetry.trace import TRACEPARENT_CHARS, span_of

__all__ = ["Live"]


class Live:
    """The machine of a run, its place in the journal, and what is armed for it."""

    __slots__ = (
        "changes",
        "committed",
        "corr_id",
        "draft",
        "ending",
        "grant",
        "held",
        "idle_since",
        "inbox",
        "kept",
        "key",
        "machine",
        "namespace",
        "opened_us",
        "parent",
        "parent_key",
        "parking",
        "paused",
        "queue",
        "read",
        "run_id",
        "seq",
        "shard",
        "span",
        "taken",
        "tasks",
        "timers",
        "trace",
        "version",
        "workflow",
    )

    def __init__(self, run_id: bytes, machine: Machine, start: dict[str, Any], at_us: int) -> None:
        self.run_id = run_id
        self.shard = shard_of(run_id)
        """Where it is owned. Of a run in a pool another, see ``Owner.housed``."""
        self.machine = machine
        self.workflow: str = start["workflow"]
        self.version: str = start.get("version") or ""
        """That of its row: what it began with, or was moved to since."""
        self.namespace: str = start.get("namespace") or "default"
        self.corr_id: str = start.get("corr_id") or ""
        self.trace = self.span = ""
        trace = start.get("trace")
        if trace:
            self.belong(trace)
        self.grant: Any = start.get("grant")
        """What the run holds, as it stands in its first record; ``None`` where nothing is held."""
        self.parent: bytes | None = start.get("parent")
        self.parent_key: str = start.get("parent_key") or ""
        place = start.get("queue")
        self.queue: str | None = None if place is None else place["name"]
        """The queue that it holds a permit of until it closes."""
        self.opened_us = at_us
        self.kept: Kept | None = None
        """Where what it returned is kept, once that is known and it is too large for the journal."""
        self.seq = 0
        """Number of the next record."""
        self.committed = 0
        """Records up to here are durable."""
        self.draft: Draft | None = None
        self.changes: Changes | None = None
        self.held: deque[tuple[int, Operation[Any]]] = deque()
        """Outside operations and the ``committed`` that each needs before it may start."""
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.inbox: list[Message] = []
        """Messages nobody waits for yet."""
        self.taken: set[str] = set()
        self.ending = False
        self.parking = False
        self.paused = False
        """It does nothing, and leaves memory when the attempts under way have ended."""
        self.idle_since: float | None = None
        self.read = True
        """Its inbox was read since it came into memory, so a new message is the next one."""

    def belong(self, trace: str) -> None:
        """Be part of a trace, under the span whose ``traceparent`` started it. What is none is left out."""
        if len(trace) == TRACEPARENT_CHARS:
            self.trace = trace
            # What it begins belongs under a span of its own.
            self.span = span_of(trace, self.run_id)
