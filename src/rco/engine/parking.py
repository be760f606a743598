"""Parking: a run that only waits leaves memory, and comes back when its time comes or a message does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from rco.engine.insisting import Insisting
from rco.engine.live import Live
from rco.engine.operation import ChildRun, Effect, Timer, Wait
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.kit.clock import MICROS
from rco.kit.lifecycle import stop_task
from rco.model.run import Mode
from rco.store.contract.changes import Moved
from rco.store.contract.reader import Reader

__all__ = ["Parking"]

DUE_PAGE = 10_000
NEXT_PAGE_S = 0.5
"""Between two looks where a full page is due already: less than it takes to work it off, and long enough that runs on
their way into memory, which each look wakes once more, are not read over and over."""


class Parking:
    """Parks idle runs, and watches the due times of parked ones."""

    def __init__(
        self,
        owner: Owner,
        reader: Reader,
        programs: Programs,
        wake: Callable[[bytes], None],
        insisting: Insisting,
    ) -> None:
        self._owner = owner
        self._insisting = insisting
        self._reader, self._programs = reader, programs
        self._wake = wake
        self._idle: dict[bytes, Live] = {}
        self._armed: dict[bytes, asyncio.TimerHandle] = {}
        self._horizon_us = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self.parked = 0
        owner.on_idle = self.consider
        self._gained = asyncio.Event()
        owner.ownership.on_gained(lambda _: self._gained.set())

    async def start(self) -> None:
        loop = self._owner.loop
        self._tasks = [loop.create_task(self._sweep()), loop.create_task(self._watch())]

    async def stop(self) -> None:
        # What is parked by a commit that is under way now is for the next owner.
        self._stopped = True
        for task in self._tasks:
            await stop_task(task)
        for handle in self._armed.values():
            handle.cancel()
        self._armed.clear()

    def consider(self, live: Live) -> None:
        """The run has come to rest with everything committed. Park it now if it will rest long, else maybe later."""
        due_us, parkable = self._earliest(live)
        if not parkable:
            return
        owner = self._owner
        far = owner.clock.now_us() + owner.options.park_after_s * MICROS
        only_timers = due_us is not None and all(type(op) is Timer for op in live.machine.pending.values())
        if only_timers and due_us is not None and due_us > far:
            self._park(live, due_us)
        else:
            live.idle_since = owner.clock.monotonic()
            self._idle[live.run_id] = live

    def _earliest(self, live: Live) -> tuple[int | None, bool]:
        if live.tasks or live.held or live.ending or live.parking or live.committed != live.seq:
            return None, False
        if not live.read:
            # It is being loaded, perhaps for a message: parked before that is read, it would be loaded again for it.
            return None, False
        earliest: int | None = None
        far_us = self._owner.clock.now_us() + max(1.0, self._owner.options.park_after_s) * MICROS
        for op in live.machine.pending.values():
            if type(op) is Timer or type(op) is Wait:
                if op.due_us is not None and (earliest is None or op.due_us < earliest):
                    earliest = op.due_us
            elif type(op) is Effect and op.key in live.timers and op.due_us >= far_us:
                # Its next attempt is far off; the record that says so brings it back.
                earliest = op.due_us if earliest is None else min(earliest, op.due_us)
            elif type(op) is not ChildRun:
                return None, False
        return earliest, bool(live.machine.pending)

    def _park(self, live: Live, due_us: int | None) -> None:
        live.parking = True
        changes = self._owner.changes(live.run_id, live.shard)
        changes.moved.append(Moved(live.run_id, Mode.PARKED, due_us))
        changes.then.append((self._parked, (live, due_us)))

    def _parked(self, live: Live, due_us: int | None) -> None:
        if not live.parking or live.ending:
            return
        self.parked += 1
        self._idle.pop(live.run_id, None)
        self._owner.evict(live)
        if due_us is not None and due_us <= self._horizon_us:
            self._arm(due_us, live.run_id)

    async def _sweep(self) -> None:
        owner = self._owner
        while True:
            await asyncio.sleep(owner.options.park_look_s)
            crowded = len(owner.live) > owner.options.open_runs_limit // 2
            patience_s = 0.0 if crowded else owner.options.park_after_s
            now = owner.clock.monotonic()
            for run_id, live in list(self._idle.items()):
                if live.idle_since is None or live.ending:
                    del self._idle[run_id]
                elif now - live.idle_since >= patience_s:
                    del self._idle[run_id]
                    due_us, parkable = self._earliest(live)
                    near = due_us is not None and due_us < owner.clock.now_us() + 2 * MICROS
                    if parkable and not near:
                        self._park(live, due_us)

    # -- waking ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Arm the timers of parked runs that fall due within the window; what is far stays a row."""
        owner = self._owner
        window_us = round(owner.options.timer_window_s * MICROS)

        async def look() -> tuple[int, list[tuple[int, bytes]]]:
            horizon = owner.clock.now_us() + window_us
            self._gained.clear()
            shards, pool = owner.ownership.among(owner.ownership.shards(), self._programs.pool)
            return horizon, await self._reader.due(horizon, DUE_PAGE, shards, pool)

        while True:
            horizon, due = await self._insisting.ask("Looking for timers that are due", look)
            for due_us, run_id in due:
                self._arm(due_us, run_id)
            # A full page means there are more: the next look is when the last of this page is due.
            self._horizon_us = due[-1][0] if len(due) == DUE_PAGE else horizon
            pause_s = (self._horizon_us - owner.clock.now_us()) / MICROS / 2
            # Shards that are taken over bring timers of their own.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause_s, NEXT_PAGE_S), owner.options.timer_window_s / 2)):
                    await self._gained.wait()

    def _arm(self, due_us: int, run_id: bytes) -> None:
        if self._stopped or run_id in self._armed or run_id in self._owner.live:
            return
        delay_s = max(0.0, (due_us - self._owner.clock.now_us()) / MICROS)
        self._armed[run_id] = self._owner.loop.call_later(delay_s, self._due, run_id)

    def _due(self, run_id: bytes) -> None:
        del self._armed[run_id]
        if run_id not in self._owner.live:
            self._wake(run_id)
