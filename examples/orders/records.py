"""The three records of a demo run, each read from its own file: what the sender was told, what the services did,
what RCO wrote down.

The last is the evidence as ``rco audit export --journal`` gives it: the same file that the offline check verifies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.services.ledger import read_ledger
from rco.audit.lines import JournalLine, SealLine, decode_line
from rco.kit.ids import id_bytes
from rco.model.effect import Attempt
from rco.model.journal import Kind, Record, decode_segment

__all__ = ["Effect", "Evidence", "Run", "Told", "read_evidence", "read_services", "read_told"]


@dataclass(frozen=True)
class Told:
    """One request of the sender and what came back. ``status`` 0: no answer came."""

    delivery: str
    provider: str
    kind: str
    """``order``, ``declined``, ``forged`` ...: what the sender meant by it."""
    about: str
    """The order, or the ticket of the issue."""
    workflows: tuple[str, ...]
    """Which runs this delivery must start when it is accepted."""
    valid: bool
    status: int
    reason: str = ""
    duplicate: bool = False
    corr_id: str = ""
    took_ms: float = 0.0


@dataclass(frozen=True)
class Effect:
    """A line of a service's ledger that says what was answered for a key, and what was done (``effect``)."""

    service: str
    key: str
    effect: str
    order: str


@dataclass
class Run:
    """A run as its journal tells it."""

    run_id: str
    workflow: str = ""
    corr_id: str = ""
    opened_us: int = 0
    closed_us: int = 0
    outcome: str = ""
    keys: dict[str, bool] = field(default_factory=dict)
    """Idempotency key of each step that ended, and whether it ended well."""
    attempts: int = 0
    """Of all steps together."""
    woken_us: int = 0
    """When it took an event it had waited for."""
    closed_times: int = 0


@dataclass(frozen=True)
class Evidence:
    """What the export of evidence holds: every run, and every decision."""

    runs: dict[str, Run]
    decisions: list[dict[str, Any]]


def read_told(path: Path) -> list[Told]:
    """The sender's own log."""
    found = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        found.append(Told(**{**fields, "workflows": tuple(fields["workflows"])}))
    return found


def read_services(folder: Path) -> tuple[list[Effect], int]:
    """What the ledgers (``<service>.jsonl``) hold: the answers that stand, and how many requests were seen."""
    effects, seen = [], 0
    for path in sorted(folder.glob("*.jsonl")):
        for line in read_ledger(path):
            if line["kind"] == "seen":
                seen += 1
            else:
                effects.append(Effect(path.stem, line["key"], line["effect"], line["order"]))
    return effects, seen


def read_evidence(lines: Iterable[bytes]) -> Evidence:
    """The runs and decisions in an export. Says nothing about whether it verifies."""
    runs: dict[str, Run] = {}
    decisions: list[dict[str, Any]] = []
    for raw in lines:
        line = decode_line(raw)
        if isinstance(line, SealLine):
            decisions.extend(json.loads(bytes(line.decisions)))
        elif isinstance(line, JournalLine):
            run = runs.setdefault(line.run, Run(line.run))
            for record in decode_segment(line.data):
                _take(run, record)
    return Evidence(runs, decisions)


def _take(run: Run, record: Record) -> None:
    match record.kind:
        case Kind.START:
            run.workflow, run.corr_id = record.body["workflow"], record.body["corr_id"]
            run.opened_us = record.at_us
        case Kind.STEP_END:
            ok, _, attempts = record.body
            run.keys[Attempt(id_bytes(run.run_id), record.key, 1).idempotency_key] = bool(ok)
            run.attempts += attempts
        case Kind.MESSAGE:
            run.woken_us = record.at_us
        case Kind.CLOSE:
            run.outcome, run.closed_us = record.body[0], record.at_us
            run.closed_times += 1
