"""Databases with much in them, filled through the keeper itself.

A run is made by the engine first; what it wrote (segments, rows, decisions) is then written again for other runs, at
other times, by the keeper: rows, evidence and indexes are what they would be had the engine run each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from bench.service import fetch
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids, id_text
from rco.measure.rig import Rig
from rco.measure.scratch import Place
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, decode_segment, encode_record
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Changes, Draft, Ended, Moved

__all__ = ["closed_runs", "parked_runs", "tidy"]

_BATCH = 1000
_LANES = 2
"""As many as a PostgreSQL keeper has connections that write; each batch is of shards of one of them."""
_OPEN: dict[str, None] = {"closed_us": None, "outcome": None, "detail": None}
_End = Callable[[Changes, Sequence[bytes], int], None]


async def closed_runs(rig: Rig, count: int) -> None:
    """``count`` runs of one step, closed."""
    row, segments = await _made(rig, await _ran(rig))
    outcome = row.outcome
    assert outcome is not None

    def close(changes: Changes, run_ids: Sequence[bytes], now_us: int) -> None:
        for run_id in run_ids:
            changes.ended.append(Ended(run_id, outcome, now_us, row.detail))
            changes.decisions.append(
                Decision(verb=Verb.CLOSE, at_us=now_us, subject=row.workflow, run=id_text(run_id), reason=outcome.value)
            )

    await _fill(rig, row, segments, count, close, None)


async def parked_runs(rig: Rig, count: int, due_us: int) -> None:
    """``count`` runs that sleep until ``due_us``, parked. ``rig`` knows the workflow ``nap``."""
    run_id = await rig.start("nap", 7 * 86400.0)
    async with asyncio.timeout(30):
        while (await rig.keeper.reader.count_open()).get(Mode.PARKED, 0) == 0:
            await asyncio.sleep(0.01)
    row, segments = await _made(rig, run_id)

    def park(changes: Changes, run_ids: Sequence[bytes], _: int) -> None:
        changes.moved += [Moved(run_id, Mode.PARKED, due_us) for run_id in run_ids]

    await _fill(rig, row, segments, count - 1, park, due_us)


async def tidy(place: Place) -> None:
    """What a database that grew slowly has had done to it: PostgreSQL vacuumed, analysed and checkpointed, the log of
    SQLite brought over. Nothing of it is then left to happen during a measurement."""
    if place.store == "postgresql":
        await fetch(place, "VACUUM (ANALYZE)")
        await fetch(place, "CHECKPOINT")


async def _ran(rig: Rig) -> bytes:
    run_id = await rig.start("steps", 1)
    await rig.result(run_id)
    return run_id


async def _made(rig: Rig, run_id: bytes) -> tuple[RunRow, list[list[Record]]]:
    row = await rig.keeper.reader.run(run_id)
    assert row is not None
    return row, [decode_segment(one.data) for one in await rig.keeper.reader.journal(run_id)]


async def _fill(rig: Rig, row: RunRow, segments: list[list[Record]], count: int, end: _End, due_us: int | None) -> None:
    clock, left = SystemClock(), count
    ids = Ids(clock)
    loop = asyncio.get_running_loop()

    async def commit(changes: Changes) -> None:
        done: asyncio.Future[None] = loop.create_future()
        changes.then.append((done.set_result, (None,)))
        changes.lost.append(done.set_exception)
        await done

    async def lane(number: int) -> None:
        nonlocal left
        while left > 0:
            batch = min(_BATCH, left)
            left -= batch
            now_us = clock.now_us()
            parts = [[_at(record, now_us, due_us) for record in segment] for segment in segments]
            run_ids = [_on_lane(ids.uuid7(), number) for _ in range(batch)]
            changes = rig.keeper.writer.changes(number)
            started = b"".join(parts[0])
            for run_id in run_ids:
                changes.opened.append(
                    msgspec.structs.replace(row, run_id=run_id, mode=Mode.HOT, opened_us=now_us, **_OPEN)
                )
                changes.opened_segments.append((run_id, started))
                changes.decisions.append(
                    Decision(verb=Verb.START, at_us=now_us, subject=row.workflow, run=id_text(run_id))
                )
            await commit(changes)
            changes = rig.keeper.writer.changes(number)
            for run_id in run_ids:
                seq = len(parts[0])
                for part in parts[1:]:
                    draft = Draft(run_id, seq)
                    draft.parts, draft.records = part, len(part)
                    changes.drafts.append(draft)
                    seq += len(part)
            end(changes, run_ids, now_us)
            await commit(changes)

    await asyncio.gather(*(lane(number) for number in range(_LANES)))


def _at(record: Record, now_us: int, due_us: int | None) -> bytes:
    body = due_us if record.kind == Kind.TIMER_SET else record.body
    return encode_record(msgspec.structs.replace(record, at_us=now_us, body=body))


def _on_lane(run_id: bytes, lane: int) -> bytes:
    """The identity on a shard that the connection ``lane`` writes for."""
    return run_id[:15] + bytes((run_id[15] // _LANES * _LANES + lane,))
