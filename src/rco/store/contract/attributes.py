"""Search attributes as a keeper sees them: a projection of what runs say of themselves, kept until the run is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from rco.model.attribute import Attribute, Type
from rco.model.run import RunRow

__all__ = ["AttributeChange", "AttributeReader", "net_attributes"]


class AttributeChange(msgspec.Struct, frozen=True, gc=False):
    """A run says an attribute of itself: it replaces that of the same name. With the record that says it."""

    run_id: bytes
    namespace: str
    attribute: Attribute


class AttributeReader(Protocol):
    async def attributes(self, run_ids: list[bytes]) -> dict[bytes, list[Attribute]]:
        """Those of each run that has any, by name."""
        ...


def net_attributes(
    opened: Iterable[RunRow], changes: Iterable[AttributeChange]
) -> tuple[list[AttributeChange], list[tuple[bytes, str]]]:
    """What a commit comes to: each name of each run once, and those that are taken away."""
    last: dict[tuple[bytes, str], AttributeChange] = {}
    for row in opened:
        for one in row.attributes:
            last[row.run_id, one.name] = AttributeChange(row.run_id, row.namespace, one)
    for change in changes:
        last[change.run_id, change.attribute.name] = change
    ordered = sorted(last.items())
    return (
        [change for _, change in ordered if change.attribute.type != Type.GONE],
        [key for key, change in ordered if change.attribute.type == Type.GONE],
    )
