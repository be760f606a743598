"""The table of namespace keys: how they are added, rewrapped, erased and read."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from rco.errors import StoreError
from rco.store import rows
from rco.store.contract.namespace_keys import NamespaceKeyPage

__all__ = ["ADD", "ERASE", "REWRAP", "fold_log", "page"]

# There is one writer, so what is read here is what is written.
_NEXT = "(SELECT coalesce(max(seq), 0) + 1 FROM namespace_key)"
ADD = f"INSERT INTO namespace_key ({rows.NAMESPACE_KEY_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,{_NEXT})"
REWRAP = f"UPDATE namespace_key SET root_kid = ?2, wrapped = ?3, seq = {_NEXT} WHERE key_id = ?1 AND erased_us IS NULL"
# secure_delete wipes the old row where it stood. One number for each of the rows, as a reader asks for what is behind
# the last one it knows.
ERASE = (
    "UPDATE namespace_key SET wrapped = x'', erased_us = ?2, erased_by = ?3, erased_why = ?4, seq = n.seq FROM"
    " (SELECT key_id AS id, (SELECT coalesce(max(seq), 0) FROM namespace_key) + row_number() OVER (ORDER BY version)"
    " AS seq FROM namespace_key WHERE namespace = ?1 AND erased_us IS NULL) AS n WHERE key_id = n.id"
)
_PATIENCE_S = 5.0


def page(connection: sqlite3.Connection, after: int, limit: int) -> NamespaceKeyPage:
    head = connection.execute("SELECT coalesce(max(seq), 0) FROM namespace_key").fetchone()[0]
    found = connection.execute(
        f"SELECT {rows.NAMESPACE_KEY_COLUMNS} FROM namespace_key WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    return NamespaceKeyPage(head, [rows.namespace_key(row) for row in found])


def fold_log(path: Path) -> None:
    """Fold the write-ahead log into the database and cut it to nothing, so that no earlier page of a row is left in
    it. Blocking. Raises ``StoreError`` when readers keep it from being cut for five seconds."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        ends = time.monotonic() + _PATIENCE_S
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > ends:
                raise StoreError(
                    "the key is erased, and the write-ahead log could not be cut: a reader holds it.",
                    cure="Erase again in a while; a restart cuts it as well.",
                )
            time.sleep(0.01)
    except sqlite3.Error as error:
        raise StoreError(f"the key is erased, and the write-ahead log could not be cut: {error}.") from error
    finally:
        connection.close()
