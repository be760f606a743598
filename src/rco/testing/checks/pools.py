"""Runs that are pinned to a version are written and driven by nodes that have it."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind, Record
from rco.model.run import Outcome
from rco.model.version import named
from rco.testing.checks.history import History, Run

__all__ = ["places"]


def places(history: History) -> Iterator[str]:
    """What a node does without a run's code is to open it for another, to move it, or to close it by force; all else is
    done where the version is that the run was of in that moment. And every row is written under the lease of the pool
    that the run was in."""
    yield from dict.fromkeys(history.tables.strays)
    pools = history.plan.pools
    if not pools:
        return
    for run in history.runs.values():
        versions = list(_versions(run))
        writers = {one.first_seq: one.owner for one in history.tables.appended if one.run_id == run.row.run_id}
        for first_seq, count, _ in run.firsts:
            writer = writers[first_seq]
            for seq in range(first_seq, first_seq + count):
                has = pools["abcdefgh".index(writer[0])]
                if named(versions[seq]) not in has and not _aside(run.records[seq]):
                    kind = Kind(run.records[seq].kind).name
                    yield f"{run.name} of {versions[seq]}: {writer}, which has {has}, wrote {kind} as record {seq}"
    for sent in history.sent:
        run_of = history.runs.get(sent.run_id)
        if run_of is not None and sent.version and named(sent.version) not in pools["abcdefgh".index(sent.node[0])]:
            yield f"{sent.node} sent {sent.step} of {run_of.name}, which was of {sent.version}"


def _versions(run: Run) -> Iterator[str]:
    """The version that each record was written under."""
    version = str(run.start.get("version", ""))
    for record in run.records:
        yield version
        if record.kind == Kind.VERSION:
            version = record.body["to"]


def _aside(record: Record) -> bool:
    if record.kind == Kind.CLOSE:
        return record.body[0] in (Outcome.TERMINATED, Outcome.CANCELLED)
    return record.kind in (Kind.START, Kind.VERSION)
