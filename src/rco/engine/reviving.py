"""Reviving: a run that is not in memory is there again, its journal replayed and armed what it waits for."""

from __future__ import annotations

from typing import Any

from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.owner import Owner
from rco.engine.pausing import Pausing, is_paused
from rco.engine.program import Programs
from rco.engine.queueing import begin_record
from rco.engine.replaying import replay
from rco.engine.unbegun import Unbegun
from rco.errors import CodeChanged, EvidenceBroken, PayloadErased, PayloadLocked
from rco.model.journal import Kind, Record
from rco.model.message import BEGIN, Message
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Moved
from rco.store.contract.reader import Reader, records_of

__all__ = ["Reviving"]


class Reviving:
    """Brings runs into memory, each call one; who calls sees to it that none is brought twice."""

    def __init__(self, owner: Owner, reader: Reader, programs: Programs, pausing: Pausing, unbegun: Unbegun) -> None:
        self._owner, self._reader, self._programs = owner, reader, programs
        self._pausing, self._unbegun = pausing, unbegun
        self.replayed = 0
        self.blocked = 0

    async def revive(self, row: RunRow) -> Live | None:
        """Load one open run from its journal and arm what it waits for. ``None`` when it is blocked now."""
        with self._owner.departures() as gone:
            return await self.from_journal(row, gone)

    async def from_journal(
        self, row: RunRow, gone: set[bytes], resume: Message | None = None, begin: Message | None = None
    ) -> Live | None:
        """``gone`` takes up who leaves memory since ``row`` was read: of those, row and journal may be old, and going
        on from them would do again what was done since. ``None`` for them, for the blocked, and for those whose version
        is not on this node: they wait, untouched."""
        owner, shard = self._owner, self._owner.home(row)
        if not self._programs.has(row.version):
            return None
        tenure = owner.tenure(shard)
        try:
            segments = await self._reader.journal(row.run_id)
        except (PayloadErased, PayloadLocked, EvidenceBroken) as problem:
            # Nobody else can have it in memory: what cannot be read here was taken out of memory everywhere.
            if owner.ownership.owns(shard) and owner.tenure(shard) == tenure and row.run_id not in gone:
                self.block(row, {"cause": problem.code, "message": str(problem)})
            return None
        already = owner.live.get(row.run_id)
        if already is not None:
            return already
        if row.run_id in gone or not owner.ownership.owns(shard) or owner.tenure(shard) != tenure:
            return None
        try:
            records = records_of(segments)
        except Exception as problem:  # noqa: BLE001 - a run that cannot be loaded must not stop the others
            self.block(row, {"cause": type(problem).__name__, "message": str(problem)})
            return None
        if records and records[-1].kind == Kind.CLOSE:
            # It closed after the caller had looked at its row.
            return None
        if resume is not None and not is_paused(records):
            # The database has lost what its row said: it is to be looked at anew.
            gone.add(row.run_id)
            return None
        return self.bring_in(row, records, resume, begin)

    def bring_in(
        self, row: RunRow, records: list[Record], resume: Message | None, begin: Message | None
    ) -> Live | None:
        """Replay what the run did, and arm what it waits for. ``None`` when it is blocked now."""
        owner = self._owner
        self._unbegun.forget(row.run_id)
        try:
            begun = None
            if begin is not None and not any(record.kind == Kind.BEGIN for record in records):
                begun = begin_record(records[0].body, begin, owner.clock.now_us())
                live = replay(self._programs, row, [*records, begun])
                live.seq = live.committed = len(records)
            else:
                live = replay(self._programs, row, records)
        except CodeChanged as changed:
            self.block(row, {"cause": "code changed", "message": changed.message, "diff": changed.diff})
            return None
        except Exception as problem:  # noqa: BLE001 - a run that cannot be loaded must not stop the others
            self.block(row, {"cause": type(problem).__name__, "message": str(problem)})
            return None
        live.read = False
        owner.housed(live)
        owner.live[row.run_id] = live
        if begun is None:
            self.replayed += 1
        try:
            if resume is not None or is_paused(records):
                self._pausing.resume(live, resume)
            elif row.mode is not Mode.HOT and row.mode is not Mode.IN_DOUBT:
                owner.changes(live.run_id, live.shard).moved.append(Moved(row.run_id, Mode.HOT))
            if begun is not None:
                owner.changes(live.run_id, live.shard).taken.append((row.run_id, BEGIN))
                live.taken.add(BEGIN)
                owner.append(live, begun)
                for listener in owner.on_opened:
                    listener(live.workflow)
            owner.drive(live)
        except BaseException:
            # Where nothing can be written now, it would stand in memory as armed, and nothing of it was.
            owner.evict(live)
            raise
        return live

    def block(self, row: RunRow, detail: dict[str, Any]) -> None:
        """Set a run aside that is not in memory, with the cause; nothing of it is armed any more."""
        self.blocked += 1
        self._unbegun.forget(row.run_id)
        start = {"workflow": row.workflow, "namespace": row.namespace, "corr_id": row.corr_id, "parent": row.parent}
        start["version"] = row.version
        live = self._owner.housed(Live(row.run_id, Machine(row.run_id), start, row.opened_us))
        self._owner.block(live, detail)
