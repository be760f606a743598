"""Forced replay: at every record the run is taken out of memory and goes on from its journal, as after a restart.

So what a workflow keeps beside its journal is lost at once, and not in production, at the worst of times. Where that
cannot be done without a difference that a restart would make as well (an attempt is under way, an intent is on record),
the journal is replayed beside the run, and both must ask for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rco.engine.engine import Engine
from rco.engine.live import Live
from rco.engine.operation import Effect, Operation
from rco.engine.probing import Probed
from rco.engine.program import Programs
from rco.engine.replaying import replay
from rco.errors import CodeChanged
from rco.model.journal import Record
from rco.model.run import RunRow

__all__ = ["ForcedReplay", "History"]

EVERY = 100
"""After so many records it is every record no longer, but each time the journal has grown by a twentieth: the cost of
long runs would grow with the square of their length."""

History = Callable[[bytes], tuple[RunRow, list[Record]] | None]
"""What the store holds of an open run."""


class ForcedReplay:
    """Stands before the armer of effects, and before whoever sees that a run rests."""

    def __init__(
        self,
        engine: Engine,
        programs: Programs,
        history: History,
        found: Callable[[str, int, str, Any], None],
        stub: Callable[[Effect[Any]], None],
        on: bool,
    ) -> None:
        """``found(workflow, seq, why, diff)`` is told what differs; ``stub`` may replace what an effect performs."""
        owner = engine._owner
        self._owner, self._wake, self._programs = owner, engine.wake, programs
        self._history, self._found, self._stub, self._on = history, found, stub, on
        self._seen: dict[bytes, int] = {}
        self._effects = owner.armers[Effect]
        self._idle = owner.on_idle
        owner.armers[Effect] = owner.armers[Probed] = self
        owner.on_idle = self.rests
        self.replays = 0

    def arm(self, live: Live, op: Effect[Any]) -> None:
        """Arm ``op``, in the run as its journal tells it."""
        if self._due(live):
            if self._may_leave(live) and not (op.written or op.intent or op.doubt):
                self._again(live)
                return
            self._compare(live)
        self._stub(op)
        self._effects.arm(live, op)

    def drop(self, live: Live, op: Effect[Any]) -> None:
        self._effects.drop(live, op)

    def rests(self, live: Live) -> None:
        """The run waits, with everything committed."""
        if self._due(live):
            if self._may_leave(live):
                self._again(live)
                return
            self._compare(live)
        self._idle(live)

    def _due(self, live: Live) -> bool:
        if not self._on or live.committed != live.seq or live.ending or live.parking or live.paused:
            return False
        seen = self._seen.get(live.run_id, 0)
        return live.seq > seen and (seen < EVERY or live.seq - seen > seen // 20)

    def _may_leave(self, live: Live) -> bool:
        """Whether nobody could tell it from a restart at which nothing was under way."""
        if live.tasks or not live.read:
            return False
        return not any(
            isinstance(op, Effect) and (op.written or op.intent or op.doubt) for op in live.machine.pending.values()
        )

    def _again(self, live: Live) -> None:
        self._seen[live.run_id] = live.seq
        self.replays += 1
        self._owner.evict(live)
        self._wake(live.run_id)

    def _compare(self, live: Live) -> None:
        self._seen[live.run_id] = live.seq
        known = self._history(live.run_id)
        if known is None or len(known[1]) != live.seq:
            return
        self.replays += 1
        try:
            shadow = replay(self._programs, *known).machine
        except CodeChanged as changed:
            self._found(live.workflow, live.seq, changed.message, changed.diff)
            return
        asks, wants = _asks(live.machine.pending.values()), _asks(shadow.pending.values())
        shadow.evict()
        if asks != wants:
            self._found(
                live.workflow,
                live.seq,
                "its replay waits for something else.",
                {"recorded": _told(asks), "code": _told(wants)},
            )


def _asks(pending: Iterable[Operation[Any]]) -> dict[str, tuple[bytes, str]]:
    return {op.key: (op.fp, op.describe()) for op in pending}


def _told(asks: dict[str, tuple[bytes, str]]) -> list[dict[str, str]]:
    return [{"key": key, "asks": what, "fingerprint": fp.hex()} for key, (fp, what) in sorted(asks.items())]
