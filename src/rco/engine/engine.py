"""The engine's face: what operations may ask of it. Composes its parts; decides nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from rco.engine.ask import StartAsk, Started
from rco.engine.attributes import Attributes, SetAttribute
from rco.engine.children import Children, Inherit, as_it_is
from rco.engine.effects import Effects
from rco.engine.emitting import Emitting, Starts
from rco.engine.ending import Ending, Finished
from rco.engine.forking import ForkAsk, Forking
from rco.engine.insisting import Insisting
from rco.engine.live import Live
from rco.engine.loading import Loading
from rco.engine.moving import MoveAsk, Moving, Tried
from rco.engine.opening import Opening, Openings
from rco.engine.operation import ChildRun, Effect, Emit, Mark, Timer, Wait
from rco.engine.options import EngineOptions
from rco.engine.owner import Owner
from rco.engine.parking import Parking
from rco.engine.patching import Patch, Patches
from rco.engine.probing import Probed, Probes
from rco.engine.program import Program, Programs
from rco.engine.queueing import Queueing
from rco.engine.recovering import Recovery
from rco.engine.referring import Payloads, Referring
from rco.engine.sending import Sending, ignore
from rco.engine.submitting import Submitting
from rco.engine.timing import Timers
from rco.engine.waiting import Waits
from rco.errors import Conflict
from rco.kit.clock import Clock
from rco.kit.ids import Ids, id_text
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision
from rco.model.effect import Attempt
from rco.model.message import Message
from rco.model.payload import Reference
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.ownership import Ownership, Shards, SoleOwner
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Flushed, Writer

__all__ = ["Engine", "EngineStats"]

MOVE_WITHIN_S = 10.0
"""How long a run of another node may take to be moved."""
MOVE_TRIES = 20
"""How often a run that gets on while it is tried is tried again, a moment later."""
RESET_WITHIN_S = 10.0
"""How long a run of another node may take to close."""


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since start, and how much is open, for metrics and the control API."""

    open_in_memory: int
    loading: int
    parked_since_start: int
    records: int
    steps_ok: int
    steps_failed: int
    retries: int
    in_doubt: int
    messages_taken: int
    replayed: int
    blocked: int
    refused: int
    reads_failed: int
    backlog: int
    payloads_waiting: int
    """Values that the object store did not take yet."""


class Engine:
    """Runs programs durably over one writer and one reader. Lives on the event loop it was made on."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        programs: Programs,
        starts: Starts,
        *,
        clock: Clock,
        ids: Ids,
        random: Callable[[], float],
        options: EngineOptions | None = None,
        ownership: Ownership | None = None,
        inherit: Inherit = as_it_is,
        payloads: Payloads | None = None,
    ) -> None:
        options = options or EngineOptions()
        ownership = ownership or SoleOwner()
        self._writer, self._reader, self._programs = writer, reader, programs
        self._clock, self._ids, self._options = clock, ids, options
        self._owner = owner = Owner(writer, clock, ids, options, ownership)
        self._effects = Effects(owner, random)
        self.hasten = self._effects.hasten
        """Have calls that wait because something was closed ask again at once."""
        self.timers = Timers(owner)
        Probes(owner, self._effects, random)
        self._waits = Waits(owner, self.timers, self._effects)
        self._children = Children(owner, programs, self._waits, inherit)
        self.queueing = Queueing(owner)
        self._openings = Openings(owner, programs, self.queueing)
        emitting = Emitting(owner, self._openings, starts)
        owner.armers.update(
            {
                Effect: self._effects,
                Probed: self._effects,
                Timer: self.timers,
                Wait: self._waits,
                ChildRun: self._children,
                Emit: emitting,
                Mark: emitting,
                Patch: Patches(owner),
                SetAttribute: Attributes(owner),
            }
        )
        self._referring = Referring(owner, payloads, random)
        self._effects.referring = self._children.referring = emitting.referring = self._referring
        self._submitting = Submitting(owner, writer)
        self.submit = self._submitting.submit
        self._sending = sending = Sending(owner, self._submitting, self._referring, self._waits.deliver)
        # What may be sent to a run is said there.
        self.signal, self.cancel, self.settle = sending.signal, sending.cancel, sending.settle
        self.pause, self.resume = sending.pause, sending.resume
        self._ending = Ending(owner, reader)
        self._insisting = Insisting(owner.loop)
        self._loading = Loading(owner, reader, programs, self._waits, self._effects, self._insisting, self.queueing)
        self._recovery = Recovery(owner, reader, programs, self._loading)
        self._openings.on_overtaken = self._loading.wake
        self._openings.on_waiting = self._loading.unbegun.add
        self._loading.barred = self._openings.barred
        self._forking = Forking(owner, reader, programs, self._loading, self.submit, self.queueing, inherit)
        self._parking = Parking(owner, reader, programs, self._loading.wake, self._insisting)
        self._loading.on_terminate = self._ending.terminate_asked
        self._loading.on_cancel = self._ending.cancel_queued
        self._moving = Moving(owner, reader, programs, self.wake, self._sending.tell)
        self._loading.on_move = self._moving.heard
        self._stopping = False
        self._early: dict[bytes, None] | None = {}
        """Runs to be waked as soon as there is somebody to run them for: what they need may not be there yet."""
        writer.on_flush(self._flushed)
        ownership.on_gained(self._gained)
        self._gaining: set[asyncio.Task[None]] = set()

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load every open run and go on with it."""
        early, self._early = self._early or (), None
        await self._recovery.recover(self._owner.ownership.shards())
        await self._parking.start()
        for run_id in early:
            self.wake(run_id)

    async def stop(self, drain_timeout_s: float = 0.0) -> None:
        """Let go of all runs. Nothing is lost: the next start goes on where the journal ends. Idempotent.

        Attempts under way are given ``drain_timeout_s`` to end, and no new ones begin meanwhile: a call that may not be
        repeated would be in doubt otherwise.
        """
        self._stopping = True
        self._owner.drain()
        await self._drained(drain_timeout_s)
        self._insisting.end()
        for task in list(self._gaining):
            await stop_task(task)
        await self._parking.stop()
        await self._loading.stop()
        for live in list(self._owner.live.values()):
            self._owner.evict(live)

    async def _drained(self, timeout_s: float) -> None:
        tasks = [task for live in self._owner.live.values() for task in live.tasks.values()]
        if tasks and timeout_s > 0:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def reload(self, programs: list[Program], pool: Mapping[str, Iterable[Program]] | None = None) -> None:
        """Go on with other code: runs are replayed on it; those it does not fit are blocked. ``pool``: see
        ``Programs``."""
        self._programs.replace(programs, pool)
        for live in list(self._owner.live.values()):
            if live.committed == live.seq and not live.tasks and not live.ending:
                self._owner.evict(live)
        await self._recovery.recover(self._owner.ownership.shards())

    def _gained(self, shards: Shards) -> None:
        # What is owned before the start is loaded by it.
        if not self._stopping and self._early is None:
            task = self._owner.loop.create_task(self._recover(shards))
            self._gaining.add(task)
            task.add_done_callback(self._gaining.discard)

    async def _recover(self, shards: Shards) -> None:
        await self._insisting.ask("Loading the runs of a shard", lambda: self._recovery.recover(shards))

    def _flushed(self, flushed: Flushed) -> None:
        for run_id in flushed.woken:
            self.wake(run_id)

    # -- starting --------------------------------------------------------------------------------------------------

    def owns(self, shard: int) -> bool:
        """Whether this node owns the shard now."""
        return self._owner.ownership.owns(shard)

    def workflows(self) -> list[str]:
        """Names of the workflows there are."""
        return self._programs.names()

    def has_version(self, version: str) -> bool:
        """Whether the code of this version, a pin, is on this node: not only that its runs are taken here."""
        return self._programs.pool is not None and version in self._programs.pool

    @property
    def draining(self) -> bool:
        """Whether new runs are refused because somebody asked for it."""
        return self._openings.draining

    def drain(self) -> None:
        """From now on refuse every new run with ``Overloaded``. Open runs go on, with the children they open. A second
        call changes nothing; only a restart takes it back."""
        self._openings.draining = True

    @property
    def room(self) -> int:
        """How many more runs may be open in memory."""
        return self._options.open_runs_limit - len(self._owner.live)

    def admit(self, count: int = 1) -> None:
        """Raise ``Overloaded`` when there is no room for ``count`` more runs."""
        self._openings.admit(count)

    @property
    def over_bytes(self) -> int:
        """What is larger is kept by reference."""
        return self._owner.over_bytes

    @property
    def input_limit_bytes(self) -> int:
        """The largest input of a run."""
        return self._options.input_limit_bytes

    async def keep(self, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        """Keep a payload that somebody sends, before what refers to it is written. Raises ``ObjectsAway``."""
        return await self._referring.keep(namespace, data, json=json)

    async def fetch(self, reference: Reference) -> Any:
        """The value that ``keep`` or a run has kept. Raises ``ObjectsAway``, ``EvidenceBroken``, ``PayloadErased`` and
        ``PayloadLocked``."""
        return await self._referring.fetch(reference)

    def prepare(
        self,
        ask: StartAsk,
        *,
        claimed: bool = False,
        run_id: bytes | None = None,
        reference: Reference | None = None,
        again: bool = False,
    ) -> Opening:
        """What opening a run writes, for an admission of the caller's own, with the opening's ``payloads``. Pass it to
        ``begin`` after the commit. ``reference``: where what ``ask.large`` names of its input is kept; ``again``: for
        something else, from which the run has it."""
        return self._openings.prepare(ask, claimed=claimed, run_id=run_id, reference=reference, again=again)

    def begin(self, opening: Opening) -> None:
        """Run an opened run's code. The opening must be committed."""
        if not self._stopping:
            self._openings.begin(opening)

    async def start_run(self, ask: StartAsk, reference: Reference | None = None) -> Started:
        """Open a run. When this returns it is durable and will close exactly once. ``reference``: where what
        ``ask.large`` names of its input is kept already.

        The same key with the same workflow and input gives the same run; another request raises ``Conflict``. Raises
        ``Overloaded`` when a bound is reached, ``NotFound`` for an unknown workflow, ``Misuse`` for an input that
        cannot be stored, ``ObjectsAway`` for one that is too large for the journal when the object store is away.
        """
        self._openings.admit(self._openings.room_for(ask))
        opening = self._openings.prepare(ask, reference=reference, again=reference is not None)
        if reference is None and len(opening.segment) > self._owner.over_bytes:
            opening = await self._kept(ask, opening)
        admission = Admission(
            done=ignore,
            failed=ignore,
            start_keys=[opening.start_key] if opening.start_key is not None else [],
            opened=[(opening.row, opening.segment)],
            accepted=[opening.decision],
            payloads=opening.payloads,
        )
        admitted = await self.submit(
            self._owner.home(opening.row), admission, lambda outcome: self._begin_if(outcome, opening)
        )
        if admitted.status == "accepted":
            return Started(opening.row.run_id, True)
        if admitted.status == "duplicate":
            return Started(admitted.run_id, False)
        raise Conflict(
            f"start key {ask.key!r} stands for another request, run {id_text(admitted.run_id)}.",
            cure="Use a new key, or send the same workflow and input.",
        )

    async def _kept(self, ask: StartAsk, opening: Opening) -> Opening:
        """The same with what ``ask.large`` names by reference, where that is what makes it large."""
        value = ask.input
        for name in ask.large:
            value = value[name]
        data = msgspec.msgpack.encode(value)
        if len(data) <= self._owner.over_bytes:
            return opening
        reference = await self._referring.keep(ask.namespace, data)
        # What was asked before may not be so any more.
        self._openings.admit(self._openings.room_for(ask))
        return self._openings.prepare(ask, reference=reference)

    def _begin_if(self, outcome: Admitted, opening: Opening) -> None:
        if outcome.status == "accepted":
            self.begin(opening)

    # -- ending and looking ----------------------------------------------------------------------------------------

    async def result(self, run_id: bytes, timeout_s: float | None) -> Finished | None:
        """How the run closed; waits for it up to ``timeout_s``. ``None`` when it is still open then.

        Raises ``NotFound`` for a run that never was.
        """
        return await self._ending.result(run_id, timeout_s)

    async def terminate(self, row: RunRow, reason: str, decision: Decision) -> None:
        """Close the run without running any of its code, for what can no longer be helped: no compensation runs. A run
        of another node is closed by that node, soon after this returns."""
        if self._owner.owns(row):
            await self._ending.terminate(row, reason, decision)
            return
        await self._sending.terminate(row, reason, decision)

    async def try_move(self, row: RunRow, to: str) -> Tried:
        """Whether the run would be moved to the version ``to`` (a pin). Writes nothing; see ``move``."""
        fit, _ = await self._moving.rehearsed(row, to)
        return Tried(status="clean") if fit.fits else Tried(status="misfit", why=fit.why, diff=fit.diff)

    async def move(self, row: RunRow, ask: MoveAsk, *, within_s: float = MOVE_WITHIN_S) -> Tried:
        """Replay what the run did on the version ``ask.to``, which must be on this node, and pin the run to it if it
        fits: durable when this returns. A second call finds nothing left to do. Raises ``NotFound`` for a version that
        is not here."""
        return await self._moving.move(row, ask, within_s=within_s, tries=MOVE_TRIES)

    async def fork(self, row: RunRow, ask: ForkAsk) -> Started:
        """Open a run that begins with a copy of what ``row`` did before a step, and does that step and the rest itself.

        Durable when this returns; with the same ``ask.key`` a second call gives the same run. The copy is tried on the
        code there is first. Raises ``NotFound`` for a step that was not recorded, ``Overloaded`` when a bound is
        reached, and ``Conflict`` when the code does not fit, the copied part was undone, or the key stands for another.
        """
        self._openings.admit()
        return await self._forking.fork(row, ask)

    async def reset(self, row: RunRow, ask: ForkAsk, decision: Decision) -> Started:
        """Close ``row`` when it is open, as terminated, and go on from a step in a fork of it. A second call gives the
        same fork; one after a crash in between finishes what was begun. Raises what ``fork`` does, before anything is
        closed, and ``Conflict`` when the closing is not seen in time."""
        self._openings.admit()
        step = (await self._forking.copied(row, ask)).step
        if row.mode is not Mode.CLOSED:
            await self.terminate(row, f"reset to step {step}", decision)
            if await self.result(row.run_id, RESET_WITHIN_S) is None:
                raise Conflict(
                    f"run {id_text(row.run_id)} is not closed yet.", cure="Its node is behind: ask again in a while."
                )
        again = msgspec.structs.replace(ask, step=step, key=ask.key or f"reset {step}")
        return await self._forking.fork(row, again)

    async def revive(self, row: RunRow) -> bool:
        """Try a blocked run again on the code there is now. True when it goes on."""
        if row.mode is not Mode.BLOCKED:
            return True
        live = await self._loading.reviving.revive(row)
        return live is not None

    def refuse_with(self, refusing: Callable[[str], None]) -> None:
        """Ask ``refusing(namespace)`` before each run is prepared; what it raises, the asker is told."""
        self._openings.refusing = refusing

    async def set_aside(self, namespace: str, detail: dict[str, Any]) -> int:
        """Block every open run of ``namespace`` on the shards owned here, for a reason that no code can help."""
        return await self._recovery.set_aside(namespace, detail)

    def wake(self, run_id: bytes) -> None:
        """See to it that an open run is in memory. Before ``start`` it is kept in mind; after ``stop`` it is left to
        the next owner."""
        if self._early is not None:
            self._early[run_id] = None
        elif not self._stopping:
            self._loading.wake(run_id)

    def given(self, run_id: bytes, begin: Message) -> None:
        """A commit gave a run its turn by this message; called as that commit is told of."""
        self._loading.turn(run_id, begin)

    def stats(self) -> EngineStats:
        return EngineStats(
            open_in_memory=len(self._owner.live),
            loading=self._loading.under_way,
            parked_since_start=self._parking.parked,
            records=self._owner.records,
            steps_ok=self._effects.ok,
            steps_failed=self._effects.failed,
            retries=self._effects.retried,
            in_doubt=self._effects.doubted,
            messages_taken=self._waits.taken,
            replayed=self._loading.reviving.replayed,
            blocked=self._loading.reviving.blocked,
            refused=self._openings.refused,
            reads_failed=self._insisting.failed,
            backlog=self._writer.backlog,
            payloads_waiting=self._referring.waiting,
        )

    def trace(
        self,
        root: Callable[[bytes], str],
        watching: Callable[[Live, Effect[Any]], Callable[[Attempt], Awaitable[Any]]] | None,
    ) -> None:
        """From now on ``root(run_id)`` gives the ``traceparent`` of a run that is started under none, and
        ``watching(live, op)`` what makes the attempts of effects; ``None``: nobody watches them."""
        self._openings.root_trace, self._effects.watching = root, watching

    def on_opened(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(workflow)`` for each run that begins here."""
        self._owner.on_opened.append(listener)

    def on_poke(self, listener: Callable[[int], None]) -> None:
        """Call ``listener(shard)`` when another node has written to queues of a shard that is owned here."""
        self._loading.on_poke = listener

    def on_quota(self, listener: Callable[[str, str], None]) -> None:
        """Call ``listener(namespace, quota)`` for each admission that a quota refused."""
        self._submitting.on_quota.append(listener)

    def on_letter(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(subscription)`` for each emitted event that it could not take."""
        self._owner.on_letter.append(listener)

    def on_closed(self, listener: Callable[[Live, Any, Any], None]) -> None:
        """Call ``listener(live, outcome, value)`` after each closing is committed."""
        self._owner.on_closed.append(listener)
