"""What a simulated world leaves behind, in the form that checkers read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from rco.kit.ids import id_text
from rco.model.journal import Kind, Record, decode_segment
from rco.model.run import RunRow
from rco.payloads.segments import packed_value, references_of, with_payloads
from rco.testing.clients import Asked
from rco.testing.clocks import WorldTime
from rco.testing.depot import Depot
from rco.testing.plan import Plan
from rco.testing.secrecy import NAMESPACE
from rco.testing.shelf import Shelf
from rco.testing.tables import Tables
from rco.testing.tenant import Looked
from rco.testing.uploaders import Got
from rco.testing.upstream import Done, Sent

__all__ = ["Finding", "History", "Run"]


class Finding(msgspec.Struct, frozen=True):
    """A broken promise: the name of the rule and what broke it."""

    rule: str
    what: str


class Run(msgspec.Struct, frozen=True):
    """One run with its records. ``at_s``: when each record was committed, in the world's time."""

    row: RunRow
    records: list[Record]
    at_s: list[float]
    firsts: list[tuple[int, int, int]]
    """(first_seq, records, commit) of each segment."""

    @property
    def name(self) -> str:
        return f"run {id_text(self.row.run_id)} of {self.row.workflow}"

    @property
    def start(self) -> dict[str, Any]:
        body: dict[str, Any] = self.records[0].body if self.records and self.records[0].kind == Kind.START else {}
        return body

    @property
    def order(self) -> str:
        given = self.start.get("input")
        # One that is kept by reference, and whose object is not there, says nothing.
        return str(given.get("order", "")) if isinstance(given, dict) else ""

    @property
    def own(self) -> list[Record]:
        """The records without those that a fork has from another run."""
        return self.records[(self.start.get("origin") or {}).get("copied", 0) :]

    @property
    def closed_s(self) -> float:
        """When it closed, in the world's time; infinite while it is open."""
        return self.at_s[-1] if self.records and self.records[-1].kind == Kind.CLOSE else float("inf")

    def of(self, kind: Kind) -> list[Record]:
        return [record for record in self.records if record.kind == kind]


class History:
    """Everything a checker may look at. Nothing in it comes from the engine's memory."""

    def __init__(
        self,
        *,
        plan: Plan,
        tables: Tables,
        log: list[Asked],
        sent: list[Sent],
        done: list[Done],
        rewinds: int,
        problems: list[str],
        stuck: str,
        noticeable: bool,
        ended_s: float,
        shelf: Shelf | None = None,
        collected: Sequence[str] = (),
        broken: Sequence[BaseException] = (),
        erased_s: float | None = None,
        looks: Sequence[Looked] = (),
        depot: Depot | None = None,
        put: Mapping[str, bytes] | None = None,
        got: Sequence[Got] = (),
    ) -> None:
        self.plan, self.tables, self.log = plan, tables, log
        self.sent, self.done = sent, done
        self.rewinds, self.problems, self.stuck, self.ended_s = rewinds, problems, stuck, ended_s
        self.shelf = shelf or Shelf(WorldTime())
        self.collected = collected
        """Objects that were removed although something referred to them."""
        self.broken = broken
        """What ended nodes that could write no more."""
        self.erased_s, self.looks = erased_s, looks
        """When the tenant's key was erased, and what it was shown before and after that."""
        self.depot, self.put, self.got = depot or {}, put or {}, got
        """Where content ends, what of it was acknowledged, by address, and what it was read as afterwards."""
        self.noticeable = noticeable
        """Whether a node lives that knew of commits which the database lost."""

    @cached_property
    def runs(self) -> dict[bytes, Run]:
        """Every run the database has a journal of, or had one of until retention removed it. Without those that were
        written for nobody else's eyes."""
        committed = {(one.run_id, one.first_seq): one.at_s for one in self.tables.appended}
        found: dict[bytes, Run] = {}
        journals = [(self.tables.row(run_id), segments) for run_id, segments in self.tables.journal.items()]
        journals += [(gone.row, gone.segments) for gone in self.tables.removed.values()]
        for row, segments in journals:
            if row is None or row.namespace == NAMESPACE:
                continue
            run_id = row.run_id
            run = Run(row, [], [], [])
            for segment in sorted(segments, key=lambda one: one.first_seq):
                records = decode_segment(self._whole(segment.data))
                run.firsts.append((segment.first_seq, len(records), segment.n))
                run.records.extend(records)
                run.at_s.extend([committed[run_id, segment.first_seq]] * len(records))
            found[run_id] = run
        return found

    def _whole(self, data: bytes) -> bytes:
        """With what it refers to, as far as that is there."""
        known = self.shelf.removed | self.shelf.held
        values = {one.name: packed_value(one, known[one.name]) for one in references_of(data) if one.name in known}
        return with_payloads(data, values) if values else data

    def decisions(self) -> Iterator[dict[str, Any]]:
        """All that stand in the chains."""
        for chain in self.tables.chains.values():
            for seal in chain:
                if seal.decisions != b"[]":
                    yield from msgspec.json.decode(seal.decisions)

    def gone_s(self, run_id: bytes) -> float:
        """When retention removed the run; never, if it is still there."""
        gone = self.tables.removed.get(run_id)
        return float("inf") if gone is None else gone.at_s

    @cached_property
    def sent_by_run(self) -> dict[bytes, list[Sent]]:
        found: dict[bytes, list[Sent]] = {}
        for one in self.sent:
            found.setdefault(one.run_id, []).append(one)
        return found

    @cached_property
    def by_order(self) -> dict[str, list[Run]]:
        found: dict[str, list[Run]] = {}
        for run in self.runs.values():
            found.setdefault(run.order, []).append(run)
        return found
