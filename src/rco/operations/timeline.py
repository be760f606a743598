"""A run's journal as a person reads it: one entry for each thing the run did, however many records that took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.journal import Kind, Record
from rco.model.version import named
from rco.model.wire import TimelineEntry

__all__ = ["NOTE_CHARS_MAX", "timeline"]

NOTE_CHARS_MAX = 300


class _Open:
    """An entry that later records may still change."""

    __slots__ = ("at_us", "attempts", "ended_us", "key", "kind", "note", "outcome")

    def __init__(self, kind: str, key: str, at_us: int, outcome: str, note: str = "") -> None:
        self.kind, self.key, self.at_us, self.outcome, self.note = kind, key, at_us, outcome, note
        self.attempts = 0
        self.ended_us: int | None = None

    def entry(self) -> TimelineEntry:
        took_ms = None if self.ended_us is None else max(0, self.ended_us - self.at_us) / 1000
        return TimelineEntry(
            at=iso(self.at_us),
            kind=self.kind,
            outcome=self.outcome,
            key=self.key,
            attempts=self.attempts,
            duration_ms=took_ms,
            note=self.note[:NOTE_CHARS_MAX],
        )


class _Reading:
    def __init__(self) -> None:
        self.entries: list[_Open] = []
        self.by_key: dict[str, _Open] = {}
        self.moved: dict[str, int] = {}
        """When the branch with this scope last moved on."""

    def since(self, key: str, at_us: int) -> int:
        scope = key
        while scope:
            scope = scope.rpartition("/")[0]
            if scope in self.moved:
                return self.moved[scope]
        return at_us

    def add(self, kind: str, record: Record, outcome: str, note: str = "", *, at_us: int | None = None) -> _Open:
        entry = _Open(kind, record.key, record.at_us if at_us is None else at_us, outcome, note)
        self.entries.append(entry)
        if record.key:
            self.by_key[record.key] = entry
        return entry

    def step(self, record: Record) -> _Open:
        held = self.by_key.get(record.key)
        if held is None:
            held = self.add("step", record, "running", at_us=self.since(record.key, record.at_us))
        return held

    def end(self, entry: _Open, record: Record, outcome: str) -> None:
        entry.outcome, entry.ended_us = outcome, record.at_us
        self.moved[record.key.rpartition("/")[0]] = record.at_us

    def take(self, record: Record) -> None:
        body = record.body
        match record.kind:
            case Kind.START:
                actor = body.get("actor") or ""
                held = body.get("grant")
                # The id and no more of it: by this it is revoked.
                shown = f", holds {held.get('id', '')}" if isinstance(held, dict) else ""
                self.add("start", record, "done", f"{body.get('workflow', '')} by {actor}{shown}" if actor else "")
                self.moved[""] = record.at_us
            case Kind.STEP_INTENT:
                self.step(record).attempts = int(body or 1)
            case Kind.STEP_RETRY:
                entry = self.step(record)
                entry.attempts, entry.outcome = int(body[0]), "retrying"
                entry.note = f"due {iso(body[1])}; {_error(body[2])}"
            case Kind.STEP_END:
                entry = self.step(record)
                entry.attempts = int(body[2])
                entry.note = "" if body[0] else _error(body[1])
                self.end(entry, record, "done" if body[0] else "failed")
            case Kind.IN_DOUBT:
                entry = self.step(record)
                entry.outcome, entry.note = "in_doubt", str(body)
            case Kind.SETTLED:
                who = f"{body.get('actor', '')}: {body.get('reason', '')}".strip(": ")
                verdict = str(body.get("verdict", ""))
                entry = _Open("settle", record.key, record.at_us, verdict, who)
                self.entries.append(entry)
            case Kind.TIMER_SET:
                self.add("timer", record, "waiting", f"due {iso(body)}")
            case Kind.TIMER_FIRED:
                held = self.by_key.get(record.key) or self.add("timer", record, "waiting")
                self.end(held, record, "done" if held.kind == "timer" else "timed_out")
            case Kind.WAIT:
                self.add("wait", record, "waiting", _awaited(body))
            case Kind.CHILD:
                self.add("child", record, "waiting", f"{body[1]} {_identity(body[0])}")
            case Kind.MESSAGE:
                self.message(record)
            case Kind.EMIT:
                self.end(self.add("emit", record, "done", f"{body[1]} {body[0]}"), record, "done")
            case Kind.STATE:
                self.end(self.add("state", record, "done", str(body[0])), record, "done")
            case Kind.ATTRIBUTE:
                self.end(self.add("attribute", record, "done", str(body[0])), record, "done")
            case Kind.CANCEL:
                self.add("cancel", record, "done", f"{body.get('actor', '')}: {body.get('reason', '')}".strip(": "))
            case Kind.PATCH:
                self.end(self.add("patch", record, "done", str(body)), record, "done")
            case Kind.BEGIN:
                self.end(self.add("begin", record, "done", f"its turn in queue {body['queue']}"), record, "done")
            case Kind.VERSION:
                self.add("version", record, "done", f"{named(body['from'])} -> {named(body['to'])} by {body['actor']}")
            case Kind.PAUSE | Kind.RESUME:
                kind = "pause" if record.kind == Kind.PAUSE else "resume"
                self.add(kind, record, "done", f"{body.get('actor', '')}: {body.get('reason', '')}".strip(": "))
            case Kind.COMPENSATE:
                self.add("compensate", record, "done", _error(body))
            case Kind.OWNER:
                self.add("owner", record, "done", f"epoch {body}")
            case Kind.CLOSE:
                self.add("close", record, str(body[0]), "" if body[0] == "completed" else _error(body[1]))

    def message(self, record: Record) -> None:
        held = self.by_key.get(record.key) or self.add("wait", record, "waiting")
        outcome = "done"
        if held.kind == "child":
            closed = record.body[2]
            outcome = "done" if closed[0] == "completed" else str(closed[0])
        self.end(held, record, outcome)


def timeline(records: Iterable[Record]) -> list[TimelineEntry]:
    """The entries in the order in which they began. A record of a kind that this code does not know is left out."""
    reading = _Reading()
    for record in records:
        reading.take(record)
    return [entry.entry() for entry in reading.entries]


def _error(value: Any) -> str:
    if isinstance(value, dict):
        # An error's data may be the body of an answer; kind and message are made by us.
        told = f"{value.get('kind', '')}: {value.get('message', '')}".strip(": ")
        return f"{told} ({value['where']})" if value.get("where") else told
    return str(value) if isinstance(value, str) else ""


def _awaited(body: dict[str, Any]) -> str:
    if body.get("signal") is not None:
        what = f"signal {body['signal']}"
    else:
        what = f"event {body.get('type', '')}" + (f" about {body['subject']}" if body.get("subject") else "")
    return what + (f", until {iso(body['due_us'])}" if body.get("due_us") is not None else "")


def _identity(raw: Any) -> str:
    return id_text(raw) if isinstance(raw, bytes) and len(raw) == 16 else ""
