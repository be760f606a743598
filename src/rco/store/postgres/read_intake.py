"""The questions about events and the letters that could not be delivered."""

from __future__ import annotations

from typing import Any

from rco.store import rows
from rco.store.contract.reader import EventMark
from rco.store.postgres.text import plain

__all__ = ["EVENT", "LETTER", "events", "letters"]

EVENT = (
    f"SELECT {rows.EVENT_COLUMNS} FROM event WHERE namespace = $1 AND id = $2 AND ($3::text IS NULL OR source = $3)"
    " ORDER BY seq DESC LIMIT 1"
)
LETTER = f"SELECT {rows.LETTER_COLUMNS} FROM dead_letter WHERE letter_id = $1"


def events(namespace: str, type: str | None, after: EventMark | None, limit: int) -> tuple[str, list[Any]]:
    values: list[Any] = [plain(namespace), limit]
    text = "namespace = $1"
    if type is not None:
        values.append(plain(type))
        text += f" AND type = ${len(values)}"
    if after is not None:
        values += after
        text += f" AND (received_us, seq) < (${len(values) - 1}, ${len(values)})"
    return (
        f"SELECT {rows.EVENT_COLUMNS}, seq FROM event WHERE {text} ORDER BY received_us DESC, seq DESC LIMIT $2",
        values,
    )


def letters(namespace: str, replayed: bool, limit: int, after: bytes | None = None) -> tuple[str, list[Any]]:
    which, behind = "NOT NULL" if replayed else "NULL", "" if after is None else " AND letter_id < $3"
    sql = (
        f"SELECT {rows.LETTER_COLUMNS} FROM dead_letter WHERE namespace = $1 AND replayed_us IS {which}{behind}"
        " ORDER BY letter_id DESC LIMIT $2"
    )
    return sql, [plain(namespace), limit, *(() if after is None else (after,))]
