"""Opening runs: what an accepted start writes, and how the run begins once it is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.owner import Coming, Owner
from rco.engine.program import Programs
from rco.engine.queueing import Queueing, Seat, place_in, queued_detail
from rco.errors import Misuse, Overloaded, RcoError
from rco.kit.canonical import canonical_json
from rco.kit.digest import digest
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.payload import Reference, as_value
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import StartKey
from rco.store.contract.payloads import PayloadUse, run_uses

__all__ = ["Opening", "Openings"]


class Opening(msgspec.Struct, frozen=True):
    """A run ready to be opened: its row, its first segment, its decision, its start key if it has one. Belongs to who
    prepared it, and stands in its owner's register for as long as that one keeps it."""

    row: RunRow
    segment: bytes
    start: dict[str, Any]
    decision: Decision
    start_key: StartKey | None
    tenure: int
    """That of the run's shard when this was prepared, see ``Owner.tenure``."""
    coming: Coming
    payloads: list[PayloadUse] = []
    """What its first segment refers to."""


class Openings:
    """Prepares runs before their commit and begins them after it."""

    def __init__(self, owner: Owner, programs: Programs, queueing: Queueing) -> None:
        self._owner = owner
        self._queueing = queueing
        self._programs = programs
        self._unsure: list[Opening] = []
        """Committed, and answered when the lease may have run out."""
        owner.ownership.on_renewed(self._renewed)
        self.refused = 0
        self.on_overtaken: Callable[[bytes], None] = _left
        """Called with a run whose shard left this node and came back between the commit and its answer."""
        self.on_waiting: Callable[[Opening], None] = _forgotten
        """Called with each opening that waits for its turn from now on."""
        self.refusing: Callable[[str], None] | None = None
        """Asked with its namespace before a run is prepared, and again before its code begins; raises what the asker is
        told."""
        self.root_trace: Callable[[bytes], str] = _untraced
        """Gives the ``traceparent`` of a run, by its identity, with which a trace begins."""
        self.draining = False
        """No new run is admitted any more; those that are open go on, with the children they open."""

    def admit(self, count: int = 1) -> None:
        """Raise ``Overloaded`` when ``count`` more runs would pass a bound. Nothing accepted so far is affected."""
        owner, options = self._owner, self._owner.options
        if self.draining:
            self.refused += 1
            raise Overloaded("this node is draining.", cure="Ask another node, or this one once it was started again.")
        if len(owner.live) + count > options.open_runs_limit:
            self.refused += 1
            raise Overloaded(
                f"{len(owner.live)} runs are open in memory; the limit is {options.open_runs_limit}.",
                cure="Wait for runs to close, or raise engine.open_runs.",
            )
        if owner.writer.backlog > options.backlog_limit:
            self.refused += 1
            raise Overloaded(
                f"{owner.writer.backlog} rows wait for the store; the limit is {options.backlog_limit}.",
                cure="Slow down, or look at the store's disk.",
            )

    def room_for(self, ask: StartAsk) -> int:
        """How many runs in memory the start needs: none where it waits in a queue."""
        program = self._programs.find(ask.workflow)
        return 0 if ask.queue or (program is not None and program.queue) else 1

    def prepare(
        self,
        ask: StartAsk,
        *,
        claimed: bool = False,
        run_id: bytes | None = None,
        reference: Reference | None = None,
        again: bool = False,
    ) -> Opening:
        """What opening this run writes. ``reference``: where what ``ask.large`` names of its input is kept;
        ``again``: for something else, from which the run has it.

        ``run_id``: an identity that was promised; else a new one, of a shard owned here. ``claimed``: the caller's own
        claim already makes the start unique, so no start key is written. Raises ``NotFound`` for an unknown workflow
        and ``Misuse`` for an input that has no plain form or is too large.
        """
        owner = self._owner
        if self.refusing is not None:
            self.refusing(ask.namespace)
        program = self._programs.get(ask.workflow)
        now = owner.clock.now_us()
        run_id = run_id or owner.new_run_id(program.version)
        start = {
            "workflow": ask.workflow,
            "version": program.version,
            "input": ask.input,
            "actor": ask.actor,
            "corr_id": ask.corr_id,
            "trace": ask.trace or self.root_trace(run_id),
            "namespace": ask.namespace,
            "event_id": ask.event_id,
        }
        place = None
        if ask.queue or program.queue:
            seat = Seat(ask.queue or program.queue, ask.fair_key, ask.priority)
            place = place_in(self._queueing.queues, seat, ask.namespace)
            self._queueing.admit(place.queue, 1)
            start["queue"] = {"name": place.queue, "key": place.key, "priority": place.priority}
        if ask.attributes:
            start["attributes"] = [[one.name, int(one.type), one.text, one.number] for one in ask.attributes]
        if ask.grant_for is not None:
            start["grant"] = ask.grant_for(run_id)
        try:
            segment = encode_record(Record(Kind.START, "", now, b"", start))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
            raise Misuse(
                f"the input cannot be stored: {problem}.", cure="Send plain data: dict, list, str, numbers."
            ) from None
        if len(segment) > owner.options.input_limit_bytes:
            raise Misuse(
                f"the input is {len(segment)} bytes; the limit is {owner.options.input_limit_bytes}.",
                cure="Store it elsewhere and send a reference.",
            )
        payloads: list[PayloadUse] = []
        if reference is not None:
            kept = as_value(reference)
            given = _put(ask.input, ask.large, kept)
            segment = encode_record(Record(Kind.START, "", now, b"", {**start, "input": given}))
            payloads = run_uses(run_id, (reference,), ask.namespace, again=again)
        start_key = None
        if ask.key is not None and not claimed:
            request = digest(canonical_json([ask.workflow, ask.input]))
            start_key = StartKey(ask.namespace, ask.key, request, run_id)
        row = RunRow(
            run_id=run_id,
            workflow=ask.workflow,
            version=program.version,
            mode=Mode.HOT if place is None else Mode.QUEUED,
            opened_us=now,
            namespace=ask.namespace,
            key=ask.key,
            corr_id=ask.corr_id,
            detail=None if place is None else queued_detail(start["queue"]),
            place=place,
            attributes=ask.attributes,
        )
        decision = Decision(
            verb=Verb.START,
            at_us=now,
            actor=ask.actor,
            subject=ask.workflow,
            run=id_text(run_id),
            event=ask.event_id,
            corr_id=ask.corr_id,
        )
        tenure, coming = owner.tenure(owner.home(row)), owner.expect(run_id)
        return Opening(row, segment, start, decision, start_key, tenure, coming, payloads)

    def begin(self, opening: Opening) -> None:
        """The opening is committed: take the run into memory and run its code, unless somebody was faster.

        The answer may come long after the commit, and the store shows the run from the commit on. A shard that was
        handed over in between takes the run along: its next owner loads it. When that is this node again, it may have
        looked for what to load before the commit, so the run is loaded by itself. Whoever found the run here meanwhile
        (a take-over, a message to it) goes on with it or has done so. And where the lease may have run out, another
        node may have closed it by now: the next heartbeat tells."""
        owner, row = self._owner, opening.row
        if opening.coming.left or row.run_id in owner.live:
            # What it left is durable: it closed, waits, is blocked, or its shard went and is loaded when it comes back.
            return
        if row.place is not None:
            self.on_waiting(opening)
            self._queueing.waiting(row.run_id, row.place, row.opened_us)
            return
        shard = owner.home(row)
        if not owner.ownership.owns(shard):
            return
        if owner.tenure(shard) != opening.tenure:
            self.on_overtaken(row.run_id)
            return
        if not owner.sure:
            self._unsure.append(opening)
            return
        program = self._programs.find(row.workflow, row.version)
        machine = Machine(row.run_id)
        live = owner.housed(Live(row.run_id, machine, opening.start, row.opened_us))
        live.seq = live.committed = 1
        owner.opened(live)
        if program is None:
            # Reloaded between preparing and committing.
            owner.block(live, {"cause": "no such workflow", "message": row.workflow})
            return
        if (why := self.barred(row.namespace)) is not None:
            # It was let in, and what it was given was erased before that was written: nobody can read it any more.
            owner.block(live, {"cause": why.code, "message": str(why)})
            return
        start = opening.start
        machine.begin(lambda machine: program.begin(machine, row.run_id, start), row.opened_us)
        owner.drive(live)

    def barred(self, namespace: str) -> RcoError | None:
        """Why no code of a run of ``namespace`` may begin now."""
        if self.refusing is None:
            return None
        try:
            self.refusing(namespace)
        except RcoError as problem:
            # What lies behind the refusal says more to who looks at the run.
            return problem.__cause__ if isinstance(problem.__cause__, RcoError) else problem
        return None

    def _renewed(self) -> None:
        unsure, self._unsure = self._unsure, []
        if not self._owner.draining:
            for opening in unsure:
                self.begin(opening)


def _put(into: Any, place: tuple[str, ...], value: Any) -> Any:
    """A copy of ``into`` with ``value`` at ``place``."""
    if not place:
        return value
    return {**into, place[0]: _put(into[place[0]], place[1:], value)}


def _untraced(_: bytes) -> str:
    return ""


def _left(_: bytes) -> None:
    """Until the engine says who loads runs."""


def _forgotten(_: Opening) -> None:
    """Until somebody remembers them."""
