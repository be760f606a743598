"""What search attributes mean, in plain dictionaries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from rco.model.attribute import Attribute, AttributeFilter, Type, meant
from rco.model.run import RunRow
from rco.store.contract.attributes import AttributeChange

__all__ = ["change_attributes", "has"]

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def change_attributes(
    said: dict[bytes, dict[str, Attribute]], opened: Iterable[RunRow], changes: Iterable[AttributeChange]
) -> None:
    """Do what the opened runs bring along, then ``changes`` in their order."""
    for row in opened:
        for one in row.attributes:
            said.setdefault(row.run_id, {})[one.name] = one
    for change in changes:
        mine = said.setdefault(change.run_id, {})
        if change.attribute.type == Type.GONE:
            mine.pop(change.attribute.name, None)
        else:
            mine[change.attribute.name] = change.attribute


def has(mine: dict[str, Attribute], where: Iterable[AttributeFilter]) -> bool:
    """Whether a run with these attributes is among what is asked for."""
    return all(one.name in mine and _holds(mine[one.name], one) for one in where)


def _holds(said: Attribute, where: AttributeFilter) -> bool:
    for type, value in meant(where):
        if said.type == type:
            return _OPS[where.op](said.text if type is Type.TEXT else said.number, value)
    return False
