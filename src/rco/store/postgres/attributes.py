"""Reading and writing search attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.model.attribute import Attribute, Type, meant
from rco.model.run import RunRow
from rco.store.contract.attributes import AttributeChange, net_attributes
from rco.store.contract.reader import RunFilter
from rco.store.postgres.text import plain, plain_all

__all__ = ["OF_RUNS", "columns", "conditions", "grouped"]

_RUNS = "SELECT run_id FROM run_attribute"
OF_RUNS = """
SELECT run_id, name, type, text, number FROM run_attribute WHERE run_id = ANY ($1::bytea[])
ORDER BY run_id, name COLLATE "C"
"""


def columns(opened: Iterable[RunRow], changes: list[AttributeChange]) -> tuple[list[Any], ...]:
    """In the order of ``rco_attributes``."""
    put, gone = net_attributes(opened, changes)
    return (
        [one.run_id for one in put],
        [one.attribute.name for one in put],
        plain_all([one.namespace for one in put]),
        [int(one.attribute.type) for one in put],
        [one.attribute.text for one in put],
        [one.attribute.number for one in put],
        [run_id for run_id, _ in gone],
        [name for _, name in gone],
    )


def conditions(where: RunFilter, values: list[Any]) -> list[str]:
    """What the attributes of a run must be, as SQL; its values go behind ``values``."""
    parts: list[str] = []
    for one in where.attributes:
        ways = []
        for type, value in meant(one):
            values += (plain(where.namespace), one.name, plain(value) if isinstance(value, str) else value)
            at = len(values)
            column = f"text = ${at}" if type is Type.TEXT else f"type = {int(type)} AND number {one.op} ${at}"
            ways.append(f"{_RUNS} WHERE namespace = ${at - 2} AND name = ${at - 1} AND {column}")
        parts.append(f"run_id IN ({' UNION ALL '.join(ways)})")
    return parts


def grouped(rows: Iterable[Any]) -> dict[bytes, list[Attribute]]:
    """Rows of ``OF_RUNS`` by run."""
    found: dict[bytes, list[Attribute]] = {}
    for run_id, *rest in rows:
        found.setdefault(run_id, []).append(Attribute(*rest))
    return found
