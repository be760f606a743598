"""Forking: a new run that begins with what another one did before a step, and does that step and all after it itself.

The new run's journal begins with a copy. Of what had begun and not ended when the step was recorded nothing is copied,
so it begins anew: attempts, timers, waits, children. The copied part is replayed under the identities it was written
under, so that what the code drew from them is the same; after it the run is itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.engine.ask import Started
from rco.engine.attributes import attributes_of
from rco.engine.children import Inherit, as_it_is
from rco.engine.loading import Loading
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.engine.queueing import Queueing, began_us, queued_detail
from rco.engine.replaying import replay
from rco.errors import CodeChanged, Conflict, NotFound
from rco.kit.digest import digest
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.payload import Reference, holds_reference, references
from rco.model.queue import Place
from rco.model.run import Mode, RunRow, fork_prefix
from rco.store.contract.changes import Admission, Admitted, StartKey
from rco.store.contract.payloads import run_uses
from rco.store.contract.reader import Reader, records_of

__all__ = ["ForkAsk", "Forking", "failed_step", "prefix"]

Submit = Callable[[int, Admission, Callable[[Admitted], None]], Any]
_ENDS = frozenset((Kind.STEP_END, Kind.TIMER_FIRED, Kind.MESSAGE, Kind.EMIT, Kind.STATE, Kind.PATCH, Kind.ATTRIBUTE))
_NOT_COPIED = frozenset((Kind.OWNER, Kind.PAUSE, Kind.RESUME, Kind.CLOSE, Kind.BEGIN, Kind.VERSION))


class ForkAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Fork a run at ``step``; empty: the step that it failed at.

    ``key``: a second asking with it gives the same run. ``undone``: also where compensations have undone what is
    copied.
    """

    step: str = ""
    key: str = ""
    actor: str = ""
    reason: str = ""
    undone: bool = False


class Copied(msgspec.Struct, frozen=True):
    """What a fork at ``step`` copies. ``stored``: the same as it is written, where it refers to payloads."""

    step: str
    kept: list[Record]
    stored: list[Record] | None = None


def failed_step(records: list[Record]) -> str | None:
    """The key of the step that a run failed at: the last that ended with an error before it was undone or closed."""
    found = None
    for record in records:
        if record.kind == Kind.COMPENSATE:
            break
        failed = record.kind == Kind.STEP_END and not record.body[0]
        if record.kind == Kind.MESSAGE and isinstance(record.body[0], bytes):
            failed = record.body[2][0] != "completed"
        if failed:
            found = record.key
    return found


def prefix(records: list[Record], step: str) -> list[Record]:
    """What a fork at ``step`` begins with: START and the records before the first of that step, without those of what
    had not ended by then. Raises ``NotFound`` when no step of that key was recorded."""
    cut = next((seq for seq, record in enumerate(records) if record.key == step), None)
    if cut is None or not step:
        keys = list(dict.fromkeys(record.key for record in records if record.key))
        raise NotFound(
            f"no step {step!r} is recorded.", cure=f"The newest steps are {', '.join(keys[-20:]) or 'none'}."
        )
    before = records[:cut]
    ended = {record.key for record in before if record.kind in _ENDS}
    kept = [record for record in before if record.kind not in _NOT_COPIED and (not record.key or record.key in ended)]
    # What the code saw as now when it began is what the copy begins with.
    first = kept[0]
    return [Record(first.kind, first.key, began_us(records), first.fp, first.body), *kept[1:]]


class Forking:
    """Opens forks."""

    def __init__(
        self,
        owner: Owner,
        reader: Reader,
        programs: Programs,
        loading: Loading,
        submit: Submit,
        queueing: Queueing,
        inherit: Inherit = as_it_is,
    ) -> None:
        self._queueing = queueing
        self._owner, self._reader, self._programs = owner, reader, programs
        self._loading, self._submit, self._inherit = loading, submit, inherit

    async def fork(self, row: RunRow, ask: ForkAsk) -> Started:
        """Open the fork; durable when this returns. See ``Engine.fork``."""
        copied = await self.copied(row, ask)
        step, kept = copied.step, copied.kept
        now = self._owner.clock.now_us()
        segments, start = self._records(row, ask, step, kept)
        run_id = self._owner.new_run_id(start["version"])
        if start.get("grant") is not None:
            start["grant"] = self._inherit(start["grant"], row.run_id, run_id)
        written, payloads = self._written(copied, segments, row, ask)
        place = None
        if start.get("queue") is not None:
            # It does the work again, so it waits for a permit again.
            known = self._queueing.queues.get(start["queue"]["name"])
            ordered = known is not None and known.ordered
            place = Place(start["queue"]["name"], start["queue"]["key"], start["queue"]["priority"], ordered)
            self._queueing.admit(place.queue, 1)
        fork = RunRow(
            run_id=run_id,
            workflow=row.workflow,
            version=start["version"],
            mode=Mode.HOT if place is None else Mode.QUEUED,
            opened_us=now,
            namespace=row.namespace,
            corr_id=row.corr_id,
            detail=None if place is None else queued_detail(start["queue"]),
            place=place,
            attributes=attributes_of(segments),
        )
        request = digest(step.encode())
        key = StartKey(row.namespace, fork_prefix(row.run_id) + (ask.key or id_text(run_id)), request, run_id)
        admission = Admission(
            done=_ignore,
            failed=_ignore,
            start_keys=[key],
            opened=[(fork, written)],
            payloads=run_uses(run_id, payloads, row.namespace, again=True),
            accepted=self._decisions(row, fork, ask, step, len(kept)),
        )
        admitted = await self._submit(self._owner.home(fork), admission, lambda outcome: self._begin(outcome, fork))
        if admitted.status == "accepted":
            return Started(run_id, True)
        if admitted.status == "duplicate":
            return Started(admitted.run_id, False)
        raise Conflict(
            f"key {ask.key!r} stands for a fork at another step, run {id_text(admitted.run_id)}.", cure="Use a new key."
        )

    def _written(
        self, copied: Copied, segments: list[Record], row: RunRow, ask: ForkAsk
    ) -> tuple[bytes, list[Reference]]:
        """The fork's first segment, with what the original refers to as references, and those."""
        if copied.stored is None:
            return b"".join(map(encode_record, segments)), []
        stored, start = self._records(row, ask, copied.step, copied.stored)
        # Whatever was changed in it since, the input may be a reference.
        start.update({name: value for name, value in segments[0].body.items() if name != "input"})
        data = b"".join(map(encode_record, stored))
        return data, [one for record in stored for one in references(encode_record(record)[4:])]

    async def copied(self, row: RunRow, ask: ForkAsk) -> Copied:
        """The step and what a fork at it would copy, after it was tried on the code there is. Raises as ``fork``."""
        segments = await self._reader.journal(row.run_id)
        records = records_of(segments)
        if not records:
            raise NotFound(f"the journal of run {id_text(row.run_id)} is gone.", cure="Start it anew with its input.")
        step = ask.step or failed_step(records)
        if not step:
            raise Conflict(
                f"run {id_text(row.run_id)} did not fail at a step.", cure="Name the step to fork at: --step KEY."
            )
        kept = prefix(records, step)
        if step.startswith("undo/"):
            raise Conflict(f"step {step!r} is a compensation.", cure="Fork at a step of the workflow itself.")
        undone = len(kept) > 1 and any(record.kind == Kind.COMPENSATE for record in records)
        if undone and not ask.undone:
            raise Conflict(
                f"compensations of run {id_text(row.run_id)} ran: what it did before {step!r} was undone.",
                cure="Start it anew, or say that this is known: --undone.",
            )
        fork, start = self._records(row, ask, step, kept)
        # It goes on with the code of new runs, whatever version the original is pinned to.
        self._try(msgspec.structs.replace(row, version=start["version"]), fork)
        stored = None
        if any(holds_reference(segment.data) for segment in segments):
            again = records_of(segments, stored=True)
            stored = prefix(again, step)
        return Copied(step, kept, stored)

    def _records(self, row: RunRow, ask: ForkAsk, step: str, kept: list[Record]) -> tuple[list[Record], dict[str, Any]]:
        program = self._programs.get(row.workflow)
        before: dict[str, Any] = kept[0].body
        # Under which identity each part was written: of a fork's fork there are several.
        ids: list[Any] = []
        for count, run_id in [*(before.get("origin") or {}).get("ids", []), [len(kept), row.run_id]]:
            ids.append([min(count, len(kept)), run_id])
            if count >= len(kept):
                break
        origin = {"run": row.run_id, "step": step, "copied": len(kept), "ids": ids}
        start = {**before, "version": program.version, "actor": ask.actor, "origin": origin}
        for name in ("parent", "parent_key", "event_id"):
            start.pop(name, None)
        # The time stays: it is what the code saw as now.
        return [Record(Kind.START, "", kept[0].at_us, kept[0].fp, start), *kept[1:]], start

    def _try(self, row: RunRow, records: list[Record]) -> None:
        try:
            replay(self._programs, row, records).machine.evict()
        except CodeChanged as changed:
            raise Conflict(
                f"the code there is does not fit what would be copied: {changed.message}",
                cure="Fork at an earlier step, or deploy code that fits.",
            ) from None

    def _decisions(self, row: RunRow, fork: RunRow, ask: ForkAsk, step: str, copied: int) -> list[Decision]:
        now, original, new = fork.opened_us, id_text(row.run_id), id_text(fork.run_id)
        return [
            Decision(
                verb=Verb.START,
                at_us=now,
                actor=ask.actor,
                subject=row.workflow,
                run=new,
                corr_id=row.corr_id,
                facts={"forked_from": original, "step": step, "copied": copied},
            ),
            Decision(
                verb=Verb.FORK,
                at_us=now,
                actor=ask.actor,
                subject=row.workflow,
                run=original,
                corr_id=row.corr_id,
                reason=ask.reason,
                facts={"fork": new, "step": step},
            ),
        ]

    def _begin(self, outcome: Admitted, fork: RunRow) -> None:
        # A node that stops leaves it to the next owner.
        if outcome.status == "accepted" and not self._owner.draining:
            if fork.place is not None:
                self._queueing.waiting(fork.run_id, fork.place, fork.opened_us)
            else:
                self._loading.wake(fork.run_id)


def _ignore(_: Any) -> None:
    """Replaced before use."""
