"""Reading runs and what belongs to one: its journal, its inbox, its timer."""

from __future__ import annotations

import sqlite3
from heapq import merge
from itertools import islice
from typing import Any

from rco.model.message import Message
from rco.model.run import Mode, Outcome, RunRow, fork_prefix
from rco.store import rows
from rco.store.contract.ownership import Pooled
from rco.store.contract.reader import RunFilter, Segment
from rco.store.sqlite.attributes import conditions
from rco.store.sqlite.versions import pooled

__all__ = ["count_open", "count_runs", "due", "forks", "journal", "key_holder", "messages", "open_runs", "run", "runs"]


def run(connection: sqlite3.Connection, run_id: bytes) -> RunRow | None:
    found = connection.execute(f"{rows.OPEN_RUNS} WHERE run_id = ?", (run_id,)).fetchone()
    if found is not None:
        return rows.run(found)
    found = connection.execute(f"{rows.CLOSED_RUNS} WHERE run_id = ?", (run_id,)).fetchone()
    return None if found is None else rows.run(found)


def runs(connection: sqlite3.Connection, where: RunFilter, limit: int) -> list[RunRow]:
    """Open and closed together, newest first. A mode of open runs leaves out the closed ones, an outcome the open."""
    newest: list[list[RunRow]] = []
    if where.outcome is None and where.mode is not Mode.CLOSED:
        text, values = _filter(where, mode=where.mode)
        found = connection.execute(f"{rows.OPEN_RUNS} WHERE {text} ORDER BY run_id DESC LIMIT ?", (*values, limit))
        newest.append([rows.run(row) for row in found])
    if (where.mode is None or where.mode is Mode.CLOSED) and not where.open_only:
        text, values = _filter(where, mode=None)
        found = connection.execute(f"{rows.CLOSED_RUNS} WHERE {text} ORDER BY run_id DESC LIMIT ?", (*values, limit))
        newest.append([rows.run(row) for row in found])
    return list(islice(merge(*newest, key=lambda row: row.run_id, reverse=True), limit))


def count_runs(connection: sqlite3.Connection, where: RunFilter) -> int:
    counted = 0
    if where.outcome is None and where.mode is not Mode.CLOSED:
        text, values = _filter(where, mode=where.mode)
        counted += connection.execute(f"SELECT count(*) FROM run WHERE {text}", values).fetchone()[0]
    if (where.mode is None or where.mode is Mode.CLOSED) and not where.open_only:
        text, values = _filter(where, mode=None)
        counted += connection.execute(f"SELECT count(*) FROM closed_run WHERE {text}", values).fetchone()[0]
    return counted


_DETAIL = "CAST(detail AS TEXT)"
_CODE = f"""CASE WHEN json_valid({_DETAIL}) THEN coalesce(json_extract({_DETAIL}, '$.error.code'),
 json_extract({_DETAIL}, '$.cause')) END = ?"""
_TEXT = f"instr(lower(coalesce({_DETAIL}, '') || char(10) || coalesce(key, '') || char(10) || corr_id), lower(?)) > 0"


def _filter(where: RunFilter, *, mode: Mode | None) -> tuple[str, list[Any]]:
    failed = where.outcome is not None and where.outcome is not Outcome.COMPLETED
    # With a plus the namespace is compared but not searched for: an index that only begins with it would give all its
    # runs out of order, to be sorted for one page.
    parts = ["namespace = ?" if where.workflow or failed else "+namespace = ?"]
    values: list[Any] = [where.namespace]
    asked: dict[str, Any] = {
        "workflow = ?": where.workflow,
        "version = ?": where.version,
        "mode = ?": None if mode is None else int(mode),
        "corr_id = ?": where.corr_id or None,
        "run_id < ?": where.after,
        "opened_us >= ?": where.opened_from_us,
        "opened_us < ?": where.opened_to_us,
        _CODE: where.code,
        _TEXT: where.text,
        "outcome = ?": None if where.outcome is None else where.outcome.value,
    }
    for text, value in asked.items():
        if value is not None:
            parts.append(text)
            values.append(value)
    if where.ids is not None:
        parts.append(f"run_id IN ({', '.join('?' * len(where.ids))})")
        values.extend(where.ids)
    if where.attributes:
        more, theirs = conditions(where)
        parts += more
        values += theirs
    if where.users_only:
        parts.append("substr(workflow, 1, 4) <> 'rco.'")
    # Said again in the words of the partial indexes, or the planner may not use them.
    if where.corr_id:
        parts.append("corr_id <> ''")
    if failed:
        parts.append("outcome <> 'completed'")
    return " AND ".join(parts), values


def open_runs(
    connection: sqlite3.Connection, mode: Mode, after: bytes | None, limit: int, pool: Pooled | None
) -> list[RunRow]:
    among, pins = pooled(pool)
    found = connection.execute(
        f"{rows.OPEN_RUNS} WHERE run_id > ? AND mode = ?{among} ORDER BY run_id LIMIT ?",
        (after or b"", int(mode), *pins, limit),
    )
    return [rows.run(row) for row in found]


def count_open(connection: sqlite3.Connection) -> dict[Mode, int]:
    counts: dict[Mode, int] = {mode: 0 for mode in Mode if mode is not Mode.CLOSED}
    for mode, count in connection.execute("SELECT mode, count(*) FROM run GROUP BY mode"):
        counts[Mode(mode)] = count
    return counts


def key_holder(connection: sqlite3.Connection, namespace: str, key: str) -> bytes | None:
    found = connection.execute(
        "SELECT run_id FROM start_key WHERE namespace = ? AND key = ?", (namespace, key)
    ).fetchone()
    return None if found is None else bytes(found[0])


def forks(connection: sqlite3.Connection, namespace: str, run_id: bytes, limit: int) -> list[bytes]:
    first = fork_prefix(run_id)
    found = connection.execute(
        # A semicolon comes right behind the colon that the prefix ends with.
        "SELECT run_id FROM start_key WHERE namespace = ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
        (namespace, first, first[:-1] + ";", limit),
    )
    return [bytes(row[0]) for row in found]


def journal(connection: sqlite3.Connection, run_id: bytes) -> list[Segment]:
    found = connection.execute(
        f"SELECT {rows.SEGMENT_COLUMNS} FROM journal WHERE run_id = ? ORDER BY first_seq", (run_id,)
    )
    return [rows.segment(row) for row in found]


def messages(connection: sqlite3.Connection, run_id: bytes) -> list[Message]:
    found = connection.execute(
        f"SELECT {rows.MESSAGE_COLUMNS}, arrival FROM message WHERE run_id = ?1 UNION ALL"
        f" SELECT {rows.MESSAGE_COLUMNS}, arrival FROM unread WHERE run_id = ?1 ORDER BY arrival",
        (run_id,),
    )
    return [rows.message(row[:-1]) for row in found]


def due(connection: sqlite3.Connection, before_us: int, limit: int, pool: Pooled | None) -> list[tuple[int, bytes]]:
    among, pins = pooled(pool, "r.version")
    if among:
        among = f" AND EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = timer.run_id{among})"
    found = connection.execute(
        f"SELECT due_us, run_id FROM timer WHERE due_us < ?{among} ORDER BY due_us, run_id LIMIT ?",
        (before_us, *pins, limit),
    )
    return [(row[0], row[1]) for row in found]
