"""Looking up, in bulk, what the admissions of a batch depend on."""

from __future__ import annotations

import sqlite3

from rco.store.contract.changes import Changes
from rco.store.judge import Held, asked_claims, asked_keys, asked_schedules
from rco.store.sqlite import schedules
from rco.store.sqlite.bulk import Bulk

__all__ = ["look_up", "open_among"]

_CLAIMS = Bulk("SELECT digest, corr_id, expires_us FROM claim WHERE digest IN (VALUES ", "(?)", ")")
_KEYS = Bulk(
    "SELECT k.namespace, k.key, k.request, k.run_id FROM (VALUES ",
    "(?,?)",
    ") AS a CROSS JOIN start_key AS k ON k.namespace = a.column1 AND k.key = a.column2",
)
_OPEN = Bulk("SELECT run_id FROM run WHERE run_id IN (VALUES ", "(?)", ")")


def open_among(cursor: sqlite3.Cursor, run_ids: set[bytes], changes: Changes) -> set[bytes]:
    """Which of ``run_ids`` are open once ``changes`` is written."""
    found = {row[0] for row in _OPEN.fetch(cursor, list(run_ids))} if run_ids else set()
    found.update(row.run_id for row in changes.opened)
    found.difference_update(ended.run_id for ended in changes.ended)
    return found


def look_up(cursor: sqlite3.Cursor, changes: Changes, open_runs: set[bytes], now_us: int) -> Held:
    """What the admissions of ``changes`` will meet. ``open_runs`` are the open ones among the runs that messages go
    to."""
    # As bytearray, which needs no look for an adapter.
    claims = [bytearray(digest) for digest in asked_claims(changes)]
    taken = {row[0]: row[1] for row in _CLAIMS.fetch(cursor, claims) if row[2] > now_us} if claims else {}
    asked = [text for key in asked_keys(changes) for text in (key.namespace, key.key)]
    held = {(row[0], row[1]): (row[2], row[3]) for row in _KEYS.fetch(cursor, asked)} if asked else {}
    found = Held(taken, held, open_runs)
    writes = asked_schedules(changes)
    if writes:
        found.schedules = schedules.look_up(cursor, writes)
    return found
