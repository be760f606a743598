"""Payloads by reference: a large value is an object before the record that refers to it is written.

A value that somebody sends (an input, a signal) is kept before it is accepted, and refused when it cannot be. A value
that is here already (what a step gave, what a run returned) waits until it can be kept; a step is not done again for
it. When the node stops meanwhile, the value is written inline, as it would be without an object store: nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from rco.engine.live import Live
from rco.engine.operation import ChildRun, Emit, Mark
from rco.engine.owner import Owner
from rco.errors import ObjectsAway
from rco.kit.backoff import Backoff
from rco.model.payload import Kept, Reference, plain
from rco.payloads.segments import packed_value

__all__ = ["CLOSING", "Payloads", "Referring"]

CLOSING = "\0closing"
"""Under which the task stands that keeps what a run returned: no step has such a key."""
_AGAIN = Backoff(first_s=0.2, cap_s=30.0)
_LOOK_S = 0.1
_pack = msgspec.msgpack.Encoder().encode


class Payloads(Protocol):
    """Where large values are kept: ``rco.payloads.keeping.PayloadStore``."""

    @property
    def over_bytes(self) -> int:
        """What is larger is to be kept; 0: nothing is."""
        ...

    async def keep(self, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        """Durable when this returns. Raises ``ObjectsAway``."""
        ...

    async def fetch(self, reference: Reference) -> bytes:
        """What was kept. Raises ``ObjectsAway``, ``EvidenceBroken``, ``PayloadErased`` and ``PayloadLocked``."""
        ...


class Referring:
    """Keeps what is too large for the journal of runs that are open here."""

    def __init__(self, owner: Owner, payloads: Payloads | None, random: Callable[[], float]) -> None:
        self._owner, self._payloads, self._random = owner, payloads, random
        self.waiting = 0
        """Values that the object store did not take yet."""
        if payloads is not None and payloads.over_bytes:
            owner.over_bytes = payloads.over_bytes
        owner.refer_closing = self._closing

    async def keep(self, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        """Keep what somebody sends. Raises ``ObjectsAway``."""
        if self._payloads is None:
            raise ObjectsAway("no object store is configured.", cure="Configure objects.")
        return await self._payloads.keep(namespace, data, json=json)

    async def fetch(self, reference: Reference) -> Any:
        """The value behind ``reference``. Raises as ``Payloads.fetch``."""
        if self._payloads is None:
            raise ObjectsAway("no object store is configured.", cure="Configure objects as before.")
        return plain(packed_value(reference, await self._payloads.fetch(reference)))

    async def insist(self, live: Live, data: bytes, *, json: bool = False) -> Kept:
        """Keep what is here already, however long it takes; inline when the node stops meanwhile."""
        keeping = self._owner.loop.create_task(self._until_kept(live.namespace, data, json))
        self.waiting += 1
        try:
            while not keeping.done():
                await asyncio.wait((keeping,), timeout=_LOOK_S)
                if self._owner.draining and not keeping.done():
                    return Kept(None)
            return Kept(keeping.result())
        finally:
            self.waiting -= 1
            keeping.cancel()

    async def _until_kept(self, namespace: str, data: bytes, json: bool) -> Reference:
        attempt = 0
        while True:
            try:
                return await self.keep(namespace, data, json=json)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the value must not be lost by it
                if not isinstance(problem, ObjectsAway):
                    self._owner.loop.call_exception_handler(
                        {"message": "A payload could not be kept.", "exception": problem}
                    )
                attempt += 1
                await asyncio.sleep(_AGAIN.delay_s(attempt, self._random))

    def first(self, live: Live, op: Emit | ChildRun[Any] | Mark, data: bytes, *, json: bool = False) -> None:
        """Keep ``data`` for an operation that is being armed, and arm it again with ``op.kept`` set."""
        live.tasks[op.key] = self._owner.loop.create_task(self._first(live, op, data, json))

    async def _first(self, live: Live, op: Emit | ChildRun[Any] | Mark, data: bytes, json: bool) -> None:
        kept = await self.insist(live, data, json=json)
        if live.machine.pending.get(op.key) is not op or live.ending:
            return
        live.tasks.pop(op.key, None)
        op.kept = kept
        self._owner.arm(live, op)

    def _closing(self, live: Live, value: Any) -> None:
        if CLOSING not in live.tasks:
            live.tasks[CLOSING] = self._owner.loop.create_task(self._close(live, value))

    async def _close(self, live: Live, value: Any) -> None:
        try:
            data = _pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
            # What it means for the run is told where it is written down.
            kept = Kept(None)
        else:
            kept = await self.insist(live, data)
        if live.ending or live.paused:
            return
        live.tasks.pop(CLOSING, None)
        live.kept = kept
        self._owner.drive(live)

    def use(self, live: Live, *references: Reference) -> None:
        """The run refers to these, by what is written in this turn."""
        self._owner.use(live.shard, live.run_id, live.namespace, *references)
