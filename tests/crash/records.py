"""What three parties wrote down: the client its log, the downstream service its ledger, the service its evidence."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.customer import Asked
from tests.crash.tenures import Tenures

from rco.audit.lines import JournalLine, SealLine, decode_line
from rco.kit.ids import id_bytes
from rco.model.effect import Attempt
from rco.model.journal import Kind, Record, decode_segment

__all__ = ["Effect", "Records", "Run", "Seen", "read_evidence", "read_ledger"]


@dataclass(frozen=True)
class Seen:
    """A request at the downstream service, whatever became of it."""

    what: str
    order: str
    key: str
    at_us: int
    fault: str = ""
    port: int = 0
    """The door that it came in by: one of each node."""


@dataclass(frozen=True)
class Effect:
    """Something that was done in the world."""

    what: str
    order: str
    key: str
    at_us: int


@dataclass
class Run:
    """A run as its journal tells it. ``segments`` are (commit, first seq, count of records), as they were exported;
    those of several chains in the order of their numbers. ``chains`` are theirs."""

    run_id: str
    records: list[Record] = field(default_factory=list)
    segments: list[tuple[int, int, int]] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)

    @property
    def start(self) -> dict[str, Any]:
        first = self.records[0] if self.records else None
        return first.body if first is not None and first.kind == Kind.START else {}

    @property
    def workflow(self) -> str:
        return str(self.start.get("workflow", ""))

    @property
    def order(self) -> str:
        """The order it is about: in its input, or in the event that started it."""
        given = self.start.get("input") or {}
        data = given.get("data")
        return str(given.get("order") or (data["data"]["order"] if isinstance(data, dict) else ""))

    @property
    def outcome(self) -> str:
        return next((str(record.body[0]) for record in self.records if record.kind == Kind.CLOSE), "")

    def of(self, *kinds: Kind) -> list[Record]:
        return [record for record in self.records if record.kind in kinds]

    def idempotency_key(self, step: str) -> str:
        return Attempt(id_bytes(self.run_id), step, 1).idempotency_key


@dataclass
class Records:
    """Everything that the checks compare. ``leftovers`` are rows that belong to no open run: table and count."""

    asked: list[Asked]
    seen: list[Seen]
    effects: list[Effect]
    runs: dict[str, Run]
    decisions: list[dict[str, Any]]
    evidence: list[bytes]
    leftovers: dict[str, int] = field(default_factory=dict)
    tenures: Tenures | None = None
    """Who owned what and when, where several nodes did."""

    def by_order(self) -> dict[str, list[Run]]:
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs.values():
            found[run.order].append(run)
        return found


def read_ledger(path: Path, prefix: str) -> tuple[list[Seen], list[Effect]]:
    """The lines of a ledger about orders that begin with ``prefix``: other tests share the service."""
    seen: list[Seen] = []
    effects: list[Effect] = []
    for line in path.read_bytes().splitlines():
        told = json.loads(line)
        if not told["order"].startswith(prefix):
            continue
        if told["kind"] == "seen":
            seen.append(Seen(told["what"], told["order"], told["key"], told["at_us"], told["fault"], told["port"]))
        else:
            effects.append(Effect(told["what"], told["order"], told["key"], told["at_us"]))
    return seen, effects


def read_evidence(lines: Iterable[bytes]) -> tuple[dict[str, Run], list[dict[str, Any]]]:
    """The runs and the decisions of an export. Raises ``ValueError`` for a line that is none."""
    parts: dict[str, list[tuple[str, JournalLine]]] = defaultdict(list)
    decisions: list[dict[str, Any]] = []
    chain = ""
    for raw in lines:
        line = decode_line(raw)
        if isinstance(line, SealLine):
            chain = line.writer
            decisions.extend(json.loads(bytes(line.decisions)))
        elif isinstance(line, JournalLine):
            parts[line.run].append((chain, line))
    return {run_id: _run(run_id, part) for run_id, part in parts.items()}, decisions


def _run(run_id: str, parts: list[tuple[str, JournalLine]]) -> Run:
    run = Run(run_id)
    if len({chain for chain, _ in parts}) > 1:
        # An export goes chain by chain; a run that was taken over stands in several.
        parts.sort(key=lambda part: part[1].first_seq)
    for chain, line in parts:
        records = decode_segment(line.data)
        run.segments.append((line.n, line.first_seq, len(records)))
        run.chains.append(chain)
        run.records.extend(records)
    return run
