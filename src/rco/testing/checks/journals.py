"""Journals have no gap, and what stands in them was written by one owner at a time."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.model.run import SHARDS
from rco.testing.checks.history import History

__all__ = ["contiguous", "epochs"]


def contiguous(history: History) -> Iterator[str]:
    """Numbers follow each other, START is first and alone, nothing ends twice."""
    for run in history.runs.values():
        following = 0
        for first_seq, count, _ in run.firsts:
            if first_seq != following:
                yield f"{run.name}: the journal goes on at {first_seq}, expected {following}"
            following = first_seq + count
        if not run.records or run.records[0].kind != Kind.START or len(run.of(Kind.START)) != 1:
            yield f"{run.name} has {len(run.of(Kind.START))} START records"
        ended: set[tuple[int, str]] = set()
        for record in run.records:
            if record.kind in (Kind.STEP_END, Kind.TIMER_FIRED, Kind.MESSAGE, Kind.EMIT, Kind.TIMER_SET):
                if (record.kind, record.key) in ended:
                    yield f"{run.name}: {Kind(record.kind).name} of {record.key} stands there twice"
                ended.add((record.kind, record.key))


def epochs(history: History) -> Iterator[str]:
    """Who writes owns the shard in that moment; epochs never go back, and under one epoch there is one owner."""
    latest: dict[int, int] = {}
    owners: dict[tuple[int, int], str] = {}
    for one in history.tables.appended:
        shard = one.shard
        if one.first_seq == 0 and one.shard >= SHARDS and one.epoch < 0:
            # Opened for its owner by another.
            continue
        if one.lease != (one.owner, one.epoch):
            yield f"shard {shard}: {one.owner} wrote under epoch {one.epoch} when the lease was {one.lease}"
        before = latest.get(shard, 0)
        if one.epoch < before:
            yield f"shard {shard}: epoch {one.epoch} was written under after {before}"
        latest[shard] = max(one.epoch, before)
        if owners.setdefault((shard, one.epoch), one.owner) != one.owner:
            yield f"shard {shard}: {owners[shard, one.epoch]} and {one.owner} wrote under epoch {one.epoch}"
