"""Loading: a run that is sent something is brought into memory, and reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from rco.engine.aside import Ghost
from rco.engine.effects import Effects
from rco.engine.insisting import Insisting
from rco.engine.live import Live
from rco.engine.owner import Owner
from rco.engine.pausing import Pausing
from rco.engine.program import Programs
from rco.engine.queueing import Queueing, awaits_version
from rco.engine.reviving import Reviving
from rco.engine.unbegun import Unbegun
from rco.engine.waiting import Waits
from rco.errors import ObjectsAway, StoreError
from rco.model.journal import COMMANDED, decode_segment
from rco.model.message import BEGIN, HANDED, Message
from rco.model.run import Mode, RunRow, shard_of
from rco.store.contract.reader import Reader, records_of

__all__ = ["MOVE", "Loading"]

MOVE = "move"
"""The kind of a message that asks the run's owner to write down another version."""
_WAITING = ("pause", "resume")


async def _keep(run_id: bytes, message: Message) -> None:
    """Until the engine says who moves runs, the message stays."""
    del run_id, message


async def _refuse(row: RunRow, message: Message) -> None:
    """Until the engine says who ends runs by force, the message stays."""
    del row, message


class Loading:
    """Loads runs, a bounded number at a time, each once."""

    def __init__(
        self,
        owner: Owner,
        reader: Reader,
        programs: Programs,
        waits: Waits,
        effects: Effects,
        insisting: Insisting,
        queueing: Queueing,
    ) -> None:
        self._owner = owner
        self._queueing = queueing
        self.unbegun = Unbegun(owner)
        queueing.on_said.append(self.unbegun.forget)
        self.barred: Callable[[str], object] = _allowed
        """Asked with its namespace before a run begins from its opening: why it may not."""
        self._insisting = insisting
        self._pausing = Pausing(owner, effects, self.wake)
        self.reviving = Reviving(owner, reader, programs, self._pausing, self.unbegun)
        waits.on_pause = self._pausing.pause
        self._reader = reader
        self._programs = programs
        self._waits = waits
        self.gate = asyncio.Semaphore(owner.options.loads_at_a_time)
        """Held while a run is read."""
        self._loads: dict[bytes, asyncio.Task[None]] = {}
        self._again: set[bytes] = set()
        self._alone = owner.ownership.shards() is None
        """Whether this node hears of all that is sent to a run."""
        self._turns: dict[bytes, Message] = {}
        self.on_terminate: Callable[[RunRow, Message], Awaitable[None]] = _refuse
        self.on_cancel: Callable[[RunRow, Message], Awaitable[None]] = _refuse
        """Given a run that is cancelled before it has begun."""
        self.on_poke: Callable[[int], None] = _nobody
        """Told of shards whose queues another node has written to."""
        self.on_move: Callable[[bytes, Message], Awaitable[None]] = _keep

    def turn(self, run_id: bytes, begin: Message) -> None:
        """The commit that is just being told of has given a run its turn. Who hears of all that is sent to it knows
        that there is nothing else: woken for that, it begins at once, its inbox unread."""
        if self._alone:
            self._turns[run_id] = begin

    def wake(self, run_id: bytes) -> None:
        """See to it that the run is in memory and has read its messages. May be called at any time, for any run; one
        of another node's shards is left to that node."""
        if not self._owner.ownership.touches(run_id):
            return
        if not run_id[0]:
            # No run's identity begins with a zero: their time is in front.
            self.on_poke(shard_of(run_id))
            return
        if self._alone:
            begin = self._turns.pop(run_id, None)
            if begin is not None and self._begin_unread(run_id, begin):
                return
            self.unbegun.hear(run_id)
        if run_id in self._loads:
            self._again.add(run_id)
            return
        task = self._owner.loop.create_task(self._load(run_id))
        self._loads[run_id] = task
        task.add_done_callback(partial(self._loaded, run_id))

    def _loaded(self, run_id: bytes, task: asyncio.Task[None]) -> None:
        self._loads.pop(run_id, None)
        if not task.cancelled() and task.exception() is not None:
            self._owner.loop.call_exception_handler(
                {"message": "A run could not be loaded.", "exception": task.exception()}
            )
        if run_id in self._again:
            self._again.discard(run_id)
            self.wake(run_id)

    async def _load(self, run_id: bytes) -> None:
        attempt = 0
        while True:
            async with self.gate:
                with self._owner.departures() as gone:
                    read = await self._insisting.ask(
                        "Loading a run",
                        partial(self._read_unless_away, run_id, gone),
                        passing=StoreError,
                        wanted=lambda: self._owner.ownership.touches(run_id),
                    )
                    if read is False:
                        # It was in memory meanwhile and left it: what was read is old.
                        self._again.add(run_id)
            attempt += 1
            # Waiting for its payloads it is in nobody's way: those without any are loaded meanwhile.
            if read is not None or not await self._insisting.pause(attempt):
                return

    async def _read_unless_away(self, run_id: bytes, gone: set[bytes]) -> bool | None:
        """``None`` when a payload of it cannot be had now."""
        try:
            return await self._read(run_id, gone)
        except ObjectsAway:
            return None

    async def _read(self, run_id: bytes, gone: set[bytes]) -> bool:
        """Whether nothing is left to be read of the run."""
        left = self._owner.leavings
        messages = await self._reader.messages(run_id)
        moves = [message for message in messages if message.kind == MOVE]
        ends = [message for message in messages if message.kind == "terminate"]
        live = self._owner.live.get(run_id)
        if live is None and len(messages) == 1 and messages[0].kind == BEGIN and self._begin(run_id, messages[0]):
            self._all_read(run_id, by=True)
            return True
        if live is None or moves or ends:
            row = await self._reader.run(run_id)
            # Of a shard that others own nothing is done; who does own it hears of the same.
            if row is None or row.mode is Mode.CLOSED or not self._owner.owns(row):
                return True
            if self._owner.leavings != left:
                # Its shard may have been another's meanwhile, who may have moved it to yet another.
                return False
            if moves:
                await self.on_move(run_id, moves[0])
                # There may be more in the inbox, and the run may go on by other code now.
                self._again.add(run_id)
                return True
            if ends:
                await self.on_terminate(row, ends[0])
                return True
            resume = begin = None
            heard: set[str] = set()
            if row.mode is Mode.PAUSED or row.mode is Mode.QUEUED:
                if run_id in gone or run_id in self._owner.live:
                    # Just being moved or ended, perhaps: what is said of it goes into the commit after that.
                    return False
                self._handed(row, messages)
                here = self._programs.has(row.version)
                if here and awaits_version(row):
                    row = self._queueing.let_wait(row)
                what, said = self._queueing.read(row, messages)
                if what == "stay":
                    return True
                if what == "begin" and said is not None and not here:
                    self._queueing.give_back(row, said, self._returned)
                    return True
                if what == "cancel" and said is not None:
                    await self.on_cancel(row, said)
                    return True
                if what == "begin":
                    # What was heard while it waited is not heard again by its code.
                    begin, heard = said, {one.message_id for one in messages if one.kind in _WAITING}
                else:
                    resume = await self._resumed(row, messages)
                    if resume is None:
                        return run_id not in gone and run_id not in self._owner.live
                    # Those before it are forgotten; read on, a pause among them would come after the resume.
                    before = messages[: messages.index(resume)]
                    heard = {one.message_id for one in before if one.kind in _WAITING}
            live = await self.reviving.from_journal(row, gone, resume, begin)
            if live is None:
                return run_id not in gone
            if isinstance(live, Ghost):
                return False
            live.taken |= heard
            # In this very turn: a deadline that has passed meanwhile must not come before what was here in time.
            self._deliver(live, messages)
            known = {message.message_id for message in messages}
            later = [one for one in await self._reader.messages(run_id) if one.message_id not in known]
            self._deliver(live, later)
            messages += later
        elif isinstance(live, Ghost):
            return False
        else:
            self._deliver(live, messages)
        self._inbox_read(live, by=True)
        return not messages or run_id not in gone

    def _begin(self, run_id: bytes, begin: Message) -> bool:
        """Begin a run whose turn has come from its opening. False where that is not remembered, and it is to be read.
        What was sent to it since its inbox was read has waked it once more."""
        opening = self.unbegun.take(run_id)
        if opening is None or self.barred(opening.row.namespace) or not self._programs.has(opening.row.version):
            return False
        self.reviving.bring_in(opening.row, decode_segment(opening.segment), None, begin)
        return True

    def _begin_unread(self, run_id: bytes, begin: Message) -> bool:
        """Begin it, if nothing else was sent to it. False: it is to be loaded as any other."""
        if run_id in self._loads or self.unbegun.heard(run_id):
            return False
        try:
            begun = self._begin(run_id, begin)
        except StoreError:
            # Nothing can be written now; who loads it insists.
            return False
        if begun:
            # What came by the same commit as its turn wakes it next: that is read before it is given what comes later.
            self._owner.loop.call_soon(self._all_read, run_id)
        return begun

    def _returned(self, row: RunRow) -> None:
        """The turn of this run went back. Who was given its version meanwhile did not find it waiting for that."""
        if self._programs.has(row.version):
            self.wake(row.run_id)

    def _handed(self, row: RunRow, messages: list[Message]) -> None:
        """It was handed over, and needs not be loaded for that."""
        if any(message.kind == HANDED for message in messages):
            self._owner.changes(row.run_id, self._owner.home(row)).taken.append((row.run_id, HANDED))

    async def _resumed(self, row: RunRow, messages: list[Message]) -> Message | None:
        """The message that says that a paused run goes on. Those before it that say to pause it say nothing new, nor
        does one that was heard before: a request may come twice."""
        asked = [message for message in messages if message.kind in ("pause", "resume")]
        if not asked:
            return None
        with self._owner.departures() as gone:
            records = records_of(await self._reader.journal(row.run_id))
        if row.run_id in gone or row.run_id in self._owner.live:
            # Moved while that was read, it may be another node's: what is said to it is not ours to forget.
            return None
        taken = {record.body["message_id"] for record in records if record.kind in COMMANDED}
        for message in asked:
            if message.kind == "resume" and message.message_id not in taken:
                return message
            self._pausing.forget(row, message)
        return None

    def hand_over(self, live: Live, messages: list[Message]) -> None:
        """Give a run that was just brought in what its inbox held."""
        self._deliver(live, messages)
        self._inbox_read(live, by=False)

    def _deliver(self, live: Live, messages: list[Message]) -> None:
        for message in messages:
            self._waits.deliver(live, message)

    def _all_read(self, run_id: bytes, *, by: bool = False) -> None:
        live = self._owner.live.get(run_id)
        if live is not None and not isinstance(live, Ghost):
            self._inbox_read(live, by=by)

    def _inbox_read(self, live: Live, *, by: bool) -> None:
        """``by``: by the load of it that is under way."""
        if live.run_id in (self._again if by else self._loads):
            # More came while it was read. What comes after that must not be handed over ahead of it.
            return
        live.read = True
        if live.committed == live.seq and not live.ending:
            self._owner.on_idle(live)

    @property
    def under_way(self) -> int:
        """How many loads are under way."""
        return len(self._loads)

    async def stop(self) -> None:
        """Wait until no load is under way."""
        self.unbegun.clear()
        self._turns.clear()
        while self._loads:
            await asyncio.wait(list(self._loads.values()))


def _nobody(_: int) -> None:
    """Until somebody gives turns."""


def _allowed(_: str) -> None:
    """Until the engine says whose runs may not begin."""
