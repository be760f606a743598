"""What three parties wrote down: the client its log, the downstream service its ledger, the service its evidence."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.customer import Asked

from rco.audit.lines import JournalLine, SealLine, decode_line
from rco.kit.ids import id_bytes
from rco.model.effect import Attempt
from rco.model.journal import Kind, Record, decode_segment

__all__ = ["Effect", "Records", "Run", "Seen", "read_evidence", "read_ledger", "read_leftovers"]


@dataclass(frozen=True)
class Seen:
    """A request at the downstream service, whatever became of it."""

    what: str
    order: str
    key: str
    at_us: int
    fault: str = ""


@dataclass(frozen=True)
class Effect:
    """Something that was done in the world."""

    what: str
    order: str
    key: str
    at_us: int


@dataclass
class Run:
    """A run as its journal tells it. ``segments`` are (commit, first seq, count of records), as they were exported."""

    run_id: str
    records: list[Record] = field(default_factory=list)
    segments: list[tuple[int, int, int]] = field(default_factory=list)

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
            seen.append(Seen(told["what"], told["order"], told["key"], told["at_us"], told["fault"]))
        else:
            effects.append(Effect(told["what"], told["order"], told["key"], told["at_us"]))
    return seen, effects


def read_evidence(lines: Iterable[bytes]) -> tuple[dict[str, Run], list[dict[str, Any]]]:
    """The runs and the decisions of an export. Raises ``ValueError`` for a line that is none."""
    runs: dict[str, Run] = {}
    decisions: list[dict[str, Any]] = []
    for raw in lines:
        line = decode_line(raw)
        if isinstance(line, SealLine):
            decisions.extend(json.loads(bytes(line.decisions)))
        elif isinstance(line, JournalLine):
            run = runs.setdefault(line.run, Run(line.run))
            records = decode_segment(line.data)
            run.segments.append((line.n, line.first_seq, len(records)))
            run.records.extend(records)
    return runs, decisions


def read_leftovers(database: Path) -> dict[str, int]:
    """Rows of tables that serve open runs only, where the run is not open; and what SQLite says of the file."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = {
            table: int(
                connection.execute(
                    f"SELECT count(*) FROM {table} WHERE run_id NOT IN (SELECT run_id FROM run)"
                ).fetchone()[0]
            )
            for table in ("message", "timer", "waiter")
        }
        both = "SELECT count(*) FROM run AS r JOIN closed_run AS c ON c.run_id = r.run_id"
        found["run both open and closed"] = int(connection.execute(both).fetchone()[0])
        found["open run"] = int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
        if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            found["integrity"] = 1
        return {name: count for name, count in found.items() if count}
