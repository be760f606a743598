"""Moving a run to another version of the code: tried first, on all that the run did; written down by its owner.

Whoever has the new code tries it, on the records that are durable. The owner of the run's shard, which need not have
that code, then writes a VERSION record and the row's new version in one commit, if the run still has exactly those
records and nothing of it is under way. So a run that got on meanwhile is tried again, and none goes on with code that
was not tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from rco.engine.aside import Ghost, append_aside, ghost_of
from rco.engine.loading import MOVE
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.engine.queueing import awaits_version
from rco.engine.rehearsing import Fit, rehearse
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, decode_segment
from rco.model.message import Message
from rco.model.run import Mode, RunRow
from rco.model.version import named
from rco.store.contract.changes import Changes
from rco.store.contract.reader import Reader, Segment, records_of

__all__ = ["MoveAsk", "Moving", "Tried"]

Status = Literal["moved", "clean", "misfit", "busy", "gone"]
_pack = msgspec.msgpack.Encoder().encode
_LOADED = (Mode.HOT, Mode.IN_DOUBT, Mode.BLOCKED)


class MoveAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Move a run to the version ``to`` (a pin). ``move`` is the run that asks, ``actor`` for whom."""

    to: str
    actor: str = ""
    move: str = ""
    corr_id: str = ""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run: ``moved``; ``clean`` (it would be, and was only tried); ``misfit``, with why and the
    difference; ``busy``: something of it was under way, or its node did not answer in time; ``gone``: it has closed, or
    is of another version by now."""

    status: Status
    why: str = ""
    diff: object = None


class _Request(msgspec.Struct, frozen=True):
    """The body of a message to the owner of the run: what was tried, and on how many records."""

    start: str
    to: str
    seq: int
    actor: str
    move: str
    corr_id: str


class Moving:
    """Tries runs on another version, and writes down that they go on with it."""

    def __init__(
        self,
        owner: Owner,
        reader: Reader,
        programs: Programs,
        wake: Callable[[bytes], None],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._owner, self._reader, self._programs = owner, reader, programs
        self._wake, self._send = wake, send

    async def rehearsed(self, row: RunRow, to: str) -> tuple[Fit, int]:
        """Whether the run's durable records fit the version ``to``, and how many there are. Writes nothing. Raises
        ``NotFound`` when that version is not on this node."""
        records = records_of(await self._reader.journal(row.run_id))
        fit = rehearse(self._programs, msgspec.structs.replace(row, version=to), records)
        return msgspec.structs.replace(fit, moves=_moves(records)), len(records)

    async def move(self, row: RunRow, ask: MoveAsk, *, within_s: float, tries: int) -> Tried:
        """Try the run and move it if it fits. Asked again when it got on meanwhile, at most ``tries`` times; where its
        owner is another node, that one has ``within_s`` each time."""
        tried = Tried(status="busy", why="it got on while it was tried.")
        for number in range(tries):
            fit, seq = await self.rehearsed(row, ask.to)
            if ask.move and ask.move in fit.moves:
                # Asked once more as its answer was lost: it may have been moved on since.
                return Tried(status="moved")
            if not fit.fits:
                return Tried(status="misfit", why=fit.why, diff=fit.diff)
            request = _Request(row.version, ask.to, seq, ask.actor, ask.move, ask.corr_id)
            if self._owner.owns(row):
                tried = await self._write(row, request)
            else:
                tried = await self._asked(row, request, within_s)
            if tried.status != "busy":
                return tried
            # A run that is busy stays so for a while, and each asking is a commit of its owner's.
            await asyncio.sleep(min(0.5, 0.05 * 1.2**number))
        return tried

    # -- by the run's owner ----------------------------------------------------------------------------------------

    async def _write(self, row: RunRow, request: _Request, message_id: str = "") -> Tried:
        owner, shard = self._owner, self._owner.home(row)
        while True:
            if owner.draining:
                # What a run has set aside on its way out is not in what can be read of it yet.
                return Tried(status="busy", why="its node is stopping.")
            live = owner.live.get(row.run_id)
            if live is not None:
                idle = not (live.ending or live.tasks or live.held or live.parking or live.paused)
                if not idle or live.committed != live.seq or live.seq != request.seq:
                    return Tried(status="busy", why="it has an attempt under way, or got on while it was tried.")
                version, loaded = live.version, True
                if version == request.start:
                    # From here on nothing stands in the way, so it is let go of only to be loaded again.
                    owner.evict(live)
                break
            tenure = owner.tenure(shard)
            with owner.departures() as gone:
                segments = await self._reader.journal(row.run_id)
                found = await self._reader.run(row.run_id)
                inbox = [one for one in await self._reader.messages(row.run_id) if one.kind != MOVE]
            if owner.tenure(shard) != tenure or not owner.ownership.owns(shard):
                return Tried(status="busy", why="its shard is being handed over.")
            if row.run_id in gone or row.run_id in owner.live or owner.draining:
                continue
            if found is None or found.mode is Mode.CLOSED:
                return Tried(status="gone", why="it has closed.")
            if _count(segments) != request.seq:
                return Tried(status="busy", why="it got on while it was tried.")
            # Mail may stand there that nobody here could read to it before.
            version, loaded = found.version, found.mode in _LOADED or bool(inbox) or awaits_version(found)
            break
        if version != request.start:
            return Tried(status="gone", why=f"it is of version {named(version)!r} by now.")
        now = owner.clock.now_us()
        body = {"from": request.start, "to": request.to, "actor": request.actor, "move": request.move}

        def add(changes: Changes) -> None:
            changes.versions.append((row.run_id, request.to))
            if message_id:
                changes.taken.append((row.run_id, message_id))
            changes.decisions.append(_decision(row, request, now))

        def committed() -> None:
            if loaded:
                self._wake(row.run_id)

        ghost = ghost_of(owner, row)
        ghost.version = request.to
        await append_aside(owner, ghost, request.seq, Record(Kind.VERSION, "", now, b"", body), add, committed)
        return Tried(status="moved")

    # -- between nodes ---------------------------------------------------------------------------------------------

    async def _asked(self, row: RunRow, request: _Request, within_s: float) -> Tried:
        """Ask the run's owner by a message, and watch for what it does: the row changes, or the message is gone."""
        message_id = f"move:{request.move}:{request.seq}"
        now = self._owner.clock.now_us()
        await self._send(Message(row.run_id, message_id, MOVE, request.to, _pack(request), now, row.namespace))
        until_s = self._owner.clock.monotonic() + within_s
        pause_s = 0.01
        while self._owner.clock.monotonic() < until_s:
            found = await self._reader.run(row.run_id)
            if found is None or found.mode is Mode.CLOSED:
                return Tried(status="gone", why="it has closed.")
            if found.version == request.to:
                if request.move in _moves(records_of(await self._reader.journal(row.run_id))):
                    return Tried(status="moved")
                return Tried(status="gone", why="another request moved it there.")
            if message_id not in [one.message_id for one in await self._reader.messages(row.run_id)]:
                return Tried(status="busy", why="it has an attempt under way, or got on while it was tried.")
            await asyncio.sleep(pause_s)
            pause_s = min(0.5, pause_s * 1.5)
        return Tried(status="busy", why="its node did not answer in time.")

    async def heard(self, run_id: bytes, message: Message) -> None:
        """A message to move a run of ours. It is taken whatever comes of it; who asked sees that, and asks again."""
        request = msgspec.msgpack.decode(message.body, type=_Request)
        owner = self._owner
        with owner.departures() as gone:
            row = await self._reader.run(run_id)
            if row is None or row.mode is Mode.CLOSED or not owner.owns(row):
                return
            tried = await self._write(row, request, message.message_id)
            row = None if tried.status == "moved" else await self._reader.run(run_id)
        if run_id in gone or isinstance(owner.live.get(run_id), Ghost):
            # Somebody is moving it, or has moved it since that was read: it may be another node's. The message stays.
            return
        if row is not None and owner.owns(row):
            owner.changes(run_id, owner.home(row)).taken.append((run_id, message.message_id))


def _moves(records: list[Record]) -> tuple[str, ...]:
    """The requests that moved the run."""
    return tuple(one.body["move"] for one in records if one.kind == Kind.VERSION)


def _count(segments: list[Segment]) -> int:
    return segments[-1].first_seq + len(decode_segment(segments[-1].data)) if segments else 0


def _decision(row: RunRow, request: _Request, now_us: int) -> Decision:
    return Decision(
        verb=Verb.MOVE,
        at_us=now_us,
        actor=request.actor,
        subject=row.workflow,
        run=id_text(row.run_id),
        corr_id=row.corr_id,
        reason="dry replay fits",
        facts={
            "from": named(request.start),
            "to": named(request.to),
            "records": request.seq,
            "move": request.move,
        },
    )
