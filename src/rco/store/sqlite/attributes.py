"""Reading and writing search attributes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from rco.model.attribute import Attribute, Type, meant
from rco.model.run import RunRow
from rco.store.contract.attributes import AttributeChange, net_attributes
from rco.store.contract.reader import RunFilter
from rco.store.sqlite.bulk import Bulk

__all__ = ["conditions", "of_runs", "write"]

_PUT = Bulk(
    "INSERT OR REPLACE INTO run_attribute (run_id, name, namespace, type, text, number) VALUES ", "(?,?,?,?,?,?)"
)
_GONE = Bulk("DELETE FROM run_attribute WHERE ", "(run_id = ? AND name = ?)", between=" OR ", largest=64)
_OF = Bulk("SELECT run_id, name, type, text, number FROM run_attribute WHERE run_id IN (VALUES ", "(?)", ")")


def write(cursor: sqlite3.Cursor, opened: Iterable[RunRow], changes: list[AttributeChange]) -> None:
    """Write what the opened runs and ``changes`` come to."""
    put, gone = net_attributes(opened, changes)
    if gone:
        _GONE.run(cursor, [part for pair in gone for part in pair])
    if put:
        flat: list[Any] = []
        for one in put:
            said = one.attribute
            flat += (one.run_id, said.name, one.namespace, int(said.type), said.text, said.number)
        _PUT.run(cursor, flat)


def conditions(where: RunFilter) -> tuple[list[str], list[Any]]:
    """What the attributes of a run must be, as SQL and its values."""
    parts: list[str] = []
    values: list[Any] = []
    for one in where.attributes:
        ways = []
        for type, value in meant(one):
            column = "text = ?" if type is Type.TEXT else f"type = {int(type)} AND number {one.op} ?"
            ways.append(f"SELECT run_id FROM run_attribute WHERE namespace = ? AND name = ? AND {column}")
            values += (where.namespace, one.name, value)
        parts.append(f"run_id IN ({' UNION ALL '.join(ways)})")
    return parts, values


def of_runs(connection: sqlite3.Connection, run_ids: list[bytes]) -> dict[bytes, list[Attribute]]:
    found: dict[bytes, list[Attribute]] = {}
    for run_id, *rest in sorted(_OF.fetch(connection.cursor(), run_ids), key=lambda row: (row[0], row[1])):
        found.setdefault(run_id, []).append(Attribute(*rest))
    return found
