"""What references to objects mean, in plain collections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rco.store.contract.payloads import PayloadUse, UserKind

Tables = Any
"""``rco.testing.tables.Tables``, which imports this."""

__all__ = ["forget", "kept_bytes", "refer", "used"]


def refer(tables: Tables, uses: Iterable[PayloadUse]) -> None:
    """Write ``uses`` down; written twice one is the same."""
    tables.payloads.update({msgspec.structs.replace(one, again=False): None for one in uses})


def kept_bytes(tables: Tables, namespace: str) -> int:
    """The sizes of what is kept by reference for a namespace, each object once."""
    sizes = {one.name: one.size_bytes for one in tables.payloads if one.namespace == namespace and _there(tables, one)}
    return sum(sizes.values())


def used(tables: Tables, names: list[bytes]) -> set[bytes]:
    """Those of ``names`` that something refers to which is there."""
    return {one.name for one in tables.payloads if one.name in names and _there(tables, one)}


def forget(tables: Tables, names: list[bytes]) -> None:
    """Forget what is referred to by nothing that is there."""
    gone = set(names) - used(tables, names)
    tables.payloads = {one: None for one in tables.payloads if one.name not in gone}


def _there(tables: Tables, use: PayloadUse) -> bool:
    match use.kind:
        case UserKind.RUN:
            return tables.row(use.who) is not None
        case UserKind.EVENT:
            event_id = use.who.decode("utf-8", "surrogatepass")
            return any(event.id == event_id and event.namespace == use.namespace for event in tables.events)
        case UserKind.SCHEDULE:
            row = tables.schedules.get(use.who)
            return row is not None and row.payload == use.name
        case _:
            return use.who in tables.letters
