"""Reading an outbox: what other transactions of the user's database have committed to it, each entry exactly once.

A lane is read by one node at a time, because its row is locked for as long as that takes. Entries leave it in the same
transaction in which they were read, after the store has committed what they ask for; a crash in between reads them
again, and the store recognises them by their keys.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from rco.datasource import connection as door
from rco.datasource.entry import Entry, Fate, Handled
from rco.datasource.options import Outbox
from rco.datasource.steps import Datasource
from rco.kit.backoff import Backoff
from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["LAG", "OutboxReader"]

_LANE = """
SELECT l.lane FROM rco_outbox.lane AS l WHERE l.lane <> ALL ($1::smallint[])
    AND EXISTS (SELECT FROM rco_outbox.entry AS e WHERE e.lane = l.lane)
ORDER BY random() LIMIT 1 FOR UPDATE OF l SKIP LOCKED
"""
_BATCH = """
SELECT e.id, e.entry_id::text, e.ordering, e.kind, e.name, e.key, e.run_id::text, e.message_id, e.corr_id,
    e.by_role::text, e.tries, coalesce(octet_length(e.body::text), 0) AS size_bytes,
    CASE WHEN octet_length(e.body::text) <= $3 THEN e.body::text END AS body
FROM rco_outbox.entry AS e WHERE e.lane = $1 AND NOT EXISTS (
    SELECT FROM rco_outbox.entry AS b
    WHERE b.lane = $1 AND b.ordering = e.ordering AND b.id <= e.id AND b.due > clock_timestamp()
)
ORDER BY e.id LIMIT $2
"""
_DONE = "DELETE FROM rco_outbox.entry WHERE id = ANY ($1::bigint[])"
_PUT_OFF = """
UPDATE rco_outbox.entry AS e SET tries = e.tries + 1, due = clock_timestamp() + make_interval(secs => g.delay_s)
FROM unnest($1::bigint[], $2::float8[]) AS g(id, delay_s) WHERE e.id = g.id
"""
_REFUSE = """
WITH gone AS (
    DELETE FROM rco_outbox.entry AS e USING unnest($1::bigint[], $2::text[]) AS g(id, cause)
    WHERE e.id = g.id RETURNING e.*, g.cause
)
INSERT INTO rco_outbox.dead_letter
    (entry_id, ordering, kind, name, key, run_id, message_id, corr_id, body, by_role, at, cause)
SELECT entry_id, ordering, kind, name, key, run_id, message_id, corr_id, body, by_role, at, cause FROM gone
ON CONFLICT (entry_id) DO UPDATE SET cause = EXCLUDED.cause, refused_at = clock_timestamp()
"""
LAG = """
SELECT (SELECT count(*) FROM (SELECT FROM rco_outbox.entry LIMIT 10000) AS w) AS waiting,
    coalesce(extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM (
        SELECT at FROM rco_outbox.entry ORDER BY id LIMIT 100
    ) AS o)), 0)::float8 AS lag_s,
    (SELECT count(*) FROM (SELECT FROM rco_outbox.dead_letter LIMIT 10000) AS d) AS letters
"""
"""How much waits, for how long, and how many dead letters there are."""
_SWEEP = "DELETE FROM rco_outbox.dead_letter WHERE refused_at < clock_timestamp() - make_interval(secs => $1)"
_ASLEEP = "UPDATE rco_outbox.doorbell SET waiting = true WHERE NOT waiting"
_AWAKE = "UPDATE rco_outbox.doorbell SET waiting = false WHERE waiting"
_ANY = "SELECT EXISTS (SELECT FROM rco_outbox.entry WHERE due IS NULL OR due <= clock_timestamp())"
_CHANNEL = "rco_outbox"
_LATER = Backoff(first_s=0.2, cap_s=60.0)
_TROUBLE = Backoff(first_s=0.2, cap_s=10.0)
_HELD_S = 60.0
"""The database ends a reading transaction that is left idle for so long."""
_HANDLING_S = 30.0
_SAMPLE_S = 5.0


class OutboxReader:
    """Reads one outbox. ``handle`` commits what an entry asks for and says what became of it; it may be asked twice."""

    def __init__(
        self,
        outbox: Outbox,
        source: Datasource,
        handle: Callable[[Entry], Awaitable[Handled]],
        *,
        clock: Clock,
        metrics: Metrics,
        trouble: Callable[[str, Exception], None],
    ) -> None:
        self._outbox, self._source, self._handle = outbox, source, handle
        self._clock, self._metrics, self._trouble = clock, metrics, trouble
        self._rung = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listening: door.Connection = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to read. A database that is away is waited for."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(self._watch())]

    async def stop(self) -> None:
        """Read no more; what is not committed is read again by somebody. Idempotent."""
        for task in self._tasks:
            await stop_task(task)
        self._tasks = []
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.terminate()

    def ring(self, *_: Any) -> None:
        """Look now."""
        self._rung.set()

    async def _run(self) -> None:
        failed = 0
        while True:
            try:
                await self._listen()
                self._rung.clear()
                full = await self._drain()
                failed = 0
                if full:
                    continue
                await self._sleep()
            except Exception as problem:  # noqa: BLE001 - an outbox that cannot be read is told of and read again
                failed += 1
                self._metrics.counter(signals.OUTBOX_TROUBLE, outbox=self._outbox.name).add()
                self._trouble(self._outbox.name, problem)
                await asyncio.sleep(_TROUBLE.delay_s(failed, random.random))

    async def _sleep(self) -> None:
        """Until somebody rings, or it is time to look by oneself."""
        pool = await self._source.pool()
        await pool.execute(_ASLEEP)
        # What was committed before the doorbell could be seen rang for nobody.
        if not await pool.fetchval(_ANY):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._outbox.poll_s):
                    await self._rung.wait()
        elif not self._rung.is_set():
            # There is something that could not be taken just now: another node has it, or there is no room.
            await asyncio.sleep(min(0.25, self._outbox.poll_s))

    async def _listen(self) -> None:
        if not self._outbox.listen or self._source.database.pooler:
            return
        if self._listening is None or self._listening.is_closed():
            self._listening = None
            self._listening = await self._source.connect()
            await self._listening.add_listener(_CHANNEL, self.ring)

    async def _watch(self) -> None:
        """Measure the lag, and remove dead letters whose time is over."""
        name = self._outbox.name
        while True:
            with suppress(Exception):
                pool = await self._source.pool()
                waiting, lag_s, letters = await pool.fetchrow(LAG)
                self._metrics.gauge(signals.OUTBOX_WAITING, outbox=name).set(waiting)
                self._metrics.gauge(signals.OUTBOX_LAG, outbox=name).set(lag_s)
                self._metrics.gauge(signals.OUTBOX_LETTERS, outbox=name).set(letters)
                if letters:
                    await pool.execute(_SWEEP, self._outbox.keep_s)
            await asyncio.sleep(_SAMPLE_S)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> bool:
        """Read every lane that nobody else reads. Whether there may be more right now."""
        seen: set[int] = set()
        firsts = (True, *(False,) * (self._outbox.workers - 1))
        try:
            async with asyncio.TaskGroup() as group:
                # One that fails ends the others: none goes on reading beside those of the next round, or after a stop.
                workers = [group.create_task(self._worker(seen, first)) for first in firsts]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return any(worker.result() for worker in workers)

    async def _worker(self, seen: set[int], first: bool) -> bool:
        more = False
        while True:
            lane, full = await self._lane(seen, first)
            if lane is None:
                return more
            more = more or full
            first = False

    async def _lane(self, seen: set[int], first: bool) -> tuple[int | None, bool]:
        """Read one batch of a lane that was not read in this round: which, and whether there is more in it."""
        pool = await self._source.pool()
        async with pool.acquire() as connection:
            if first:
                await connection.execute(_AWAKE)
            async with connection.transaction(isolation="read_committed"):
                lane: int | None = await connection.fetchval(_LANE, sorted(seen))
                if lane is None:
                    return None, False
                seen.add(lane)
                await connection.execute(
                    "SELECT set_config('idle_in_transaction_session_timeout', $1, true)", f"{int(_HELD_S * 1000)}ms"
                )
                rows = await connection.fetch(_BATCH, lane, self._outbox.batch, self._outbox.body_limit_bytes)
                entries = [Entry(**row) for row in rows]
                stopped = await self._take(connection, entries)
            return lane, len(entries) == self._outbox.batch and not stopped

    async def _take(self, connection: door.Connection, entries: list[Entry]) -> bool:
        """Handle entries, those of one ordering one after the other, and take out what is settled. Whether nothing can
        be taken any more."""
        lines: dict[str, list[Entry]] = {}
        for entry in entries:
            lines.setdefault(entry.ordering, []).append(entry)
        settled: dict[int, tuple[Entry, Handled]] = {}
        deadline = self._clock.monotonic() + _HANDLING_S
        results = await asyncio.gather(*(self._line(line, settled, deadline) for line in lines.values()))
        by_fate: dict[Fate, list[tuple[Entry, Handled]]] = {}
        for one in settled.values():
            by_fate.setdefault(one[1].fate, []).append(one)
        done = [entry.id for fate in (Fate.ACCEPTED, Fate.DUPLICATE) for entry, _ in by_fate.get(fate, ())]
        if done:
            await connection.execute(_DONE, done)
        refused = by_fate.get(Fate.REFUSED, [])
        if refused:
            await connection.execute(
                _REFUSE, [entry.id for entry, _ in refused], [handled.cause[:2000] for _, handled in refused]
            )
        later = by_fate.get(Fate.LATER, [])
        if later:
            delays = [_LATER.delay_s(entry.tries + 1, random.random) for entry, _ in later]
            await connection.execute(_PUT_OFF, [entry.id for entry, _ in later], delays)
        for fate, group in by_fate.items():
            self._metrics.counter(signals.OUTBOX_ENTRIES, outbox=self._outbox.name, outcome=fate.value).add(len(group))
        return any(results)

    async def _line(self, line: list[Entry], settled: dict[int, tuple[Entry, Handled]], deadline: float) -> bool:
        for entry in line:
            if self._clock.monotonic() > deadline:
                return True
            try:
                handled = await self._handle(entry)
            except Exception as problem:  # noqa: BLE001 - one entry that cannot be handled must not stop the others
                self._trouble(self._outbox.name, problem)
                handled = Handled(Fate.LATER, f"{type(problem).__name__}: {problem}")
            if handled.fate is Fate.STOP:
                return True
            if handled.fate is Fate.LATER and entry.tries + 1 >= self._outbox.tries:
                handled = Handled(Fate.REFUSED, f"{handled.cause} ({entry.tries + 1} tries)")
            settled[entry.id] = (entry, handled)
            if handled.fate is Fate.LATER:
                return False
        return False
