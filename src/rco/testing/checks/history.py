"""What a simulated world leaves behind, in the form that checkers read."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from rco.kit.ids import id_text
from rco.model.journal import Kind, Record, decode_segment
from rco.model.run import RunRow
from rco.payloads.segments import packed_value, references_of, with_payloads
from rco.testing.clients import Asked
from rco.testing.plan import Plan
from rco.testing.shelf import Shelf
from rco.testing.tables import Tables
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
        return str((self.start.get("input") or {}).get("order", ""))

    @property
    def own(self) -> list[Record]:
        """The records without those that a fork has from another run."""
        return self.records[(self.start.get("origin") or {}).get("copied", 0) :]

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
    ) -> None:
        self.plan, self.tables, self.log = plan, tables, log
        self.sent, self.done = sent, done
        self.rewinds, self.problems, self.stuck, self.ended_s = rewinds, problems, stuck, ended_s
        self.shelf = shelf or Shelf()
        self.noticeable = noticeable
        """Whether a node lives that knew of commits which the database lost."""

    @cached_property
    def runs(self) -> dict[bytes, Run]:
        """Every run the database has a journal of."""
        committed = {(one.run_id, one.first_seq): one.at_s for one in self.tables.appended}
        found: dict[bytes, Run] = {}
        for run_id, segments in self.tables.journal.items():
            row = self.tables.row(run_id)
            if row is None:
                continue
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
        values = {
            one.name: packed_value(one, self.shelf.held[one.name])
            for one in references_of(data)
            if one.name in self.shelf.held
        }
        return with_payloads(data, values) if values else data

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
