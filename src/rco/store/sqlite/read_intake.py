"""Reading events and the letters that could not be delivered."""

from __future__ import annotations

import sqlite3

from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.store import rows
from rco.store.contract.reader import EventMark

__all__ = ["event", "events", "letter", "letters"]


def event(connection: sqlite3.Connection, namespace: str, event_id: str, source: str | None) -> Event | None:
    found = connection.execute(
        f"SELECT {rows.EVENT_COLUMNS} FROM event WHERE namespace = ?1 AND id = ?2 AND (?3 IS NULL OR source = ?3)"
        " ORDER BY seq DESC LIMIT 1",
        (namespace, event_id, source),
    ).fetchone()
    return None if found is None else rows.event(found)


def events(
    connection: sqlite3.Connection, namespace: str, type: str | None, after: EventMark | None, limit: int
) -> list[tuple[EventMark, Event]]:
    text = "namespace = ?" if type is None else "namespace = ? AND type = ?"
    values: list[str | int] = [namespace] if type is None else [namespace, type]
    if after is not None:
        text += " AND (received_us, seq) < (?, ?)"
        values += after
    found = connection.execute(
        f"SELECT {rows.EVENT_COLUMNS}, seq FROM event WHERE {text} ORDER BY received_us DESC, seq DESC LIMIT ?",
        (*values, limit),
    )
    return [rows.marked_event(row) for row in found]


def letter(connection: sqlite3.Connection, letter_id: bytes) -> DeadLetter | None:
    found = connection.execute(
        f"SELECT {rows.LETTER_COLUMNS} FROM dead_letter WHERE letter_id = ?", (letter_id,)
    ).fetchone()
    return None if found is None else rows.letter(found)


def letters(
    connection: sqlite3.Connection, namespace: str, replayed: bool, limit: int, after: bytes | None = None
) -> list[DeadLetter]:
    which, behind = "NOT NULL" if replayed else "NULL", "" if after is None else " AND letter_id < ?"
    found = connection.execute(
        f"SELECT {rows.LETTER_COLUMNS} FROM dead_letter WHERE namespace = ? AND replayed_us IS {which}{behind}"
        " ORDER BY letter_id DESC LIMIT ?",
        (namespace, *(() if after is None else (after,)), limit),
    )
    return [rows.letter(row) for row in found]
