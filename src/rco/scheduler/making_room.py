"""Ending runs of a schedule that stand in the way of its newest tick."""

from __future__ import annotations

from rco.engine.engine import Engine
from rco.errors import RcoError
from rco.kit.clock import Clock
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.run import Mode
from rco.model.schedule import Overlap
from rco.scheduler.entry import Entry
from rco.store.contract.reader import Reader

__all__ = ["MakingRoom"]

_REASON = "a later tick of its schedule has come"


class MakingRoom:
    """Cancels or terminates open runs, each once for as long as its schedule is in memory. After a crash who takes the
    schedule over asks again: the tick that waits is durable, and asking twice has no effect."""

    def __init__(self, engine: Engine, reader: Reader, clock: Clock) -> None:
        self._engine, self._reader, self._clock = engine, reader, clock

    async def make(self, entry: Entry, policy: Overlap) -> None:
        """Ask every open run of ``entry`` to end. Its closing starts who waits. A blocked run cannot be cancelled: the
        tick waits for whoever settles it."""
        schedule = entry.schedule
        force = policy == "terminate_other"
        for run_id in schedule.state.running:
            if run_id in entry.stopped or run_id in entry.closed:
                continue
            entry.stopped.add(run_id)
            actor = f"schedule:{schedule.name}"
            try:
                row = await self._reader.run(run_id)
                if row is None or row.mode is Mode.CLOSED or (row.mode is Mode.BLOCKED and not force):
                    continue
                decision = Decision(
                    verb=Verb.TERMINATE if force else Verb.CANCEL,
                    at_us=self._clock.now_us(),
                    actor=actor,
                    subject=row.workflow,
                    run=id_text(run_id),
                    corr_id=row.corr_id,
                    reason=_REASON,
                )
                if force:
                    await self._engine.terminate(row, _REASON, decision)
                else:
                    await self._engine.cancel(run_id, _REASON, actor, decision, row.namespace)
            except RcoError:
                # Closed meanwhile, or the store is away: the next look asks again if it is still there.
                entry.stopped.discard(run_id)
