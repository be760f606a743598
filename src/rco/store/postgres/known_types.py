"""Connections that know the array types of every PostgreSQL.

asyncpg asks the server what an array type is when a connection first meets it: three exchanges and a plan of a dozen
joins, on each connection anew. These are the same in every PostgreSQL (``pg_type.dat`` fixes their numbers), so they
are told instead.
"""

from __future__ import annotations

from typing import Any

import asyncpg

__all__ = ["KNOWN_ARRAYS", "KnowingConnection", "type_row"]

KNOWN_ARRAYS: dict[int, tuple[str, int, str]] = {
    1000: ("_bool", 16, "boolean"),
    1001: ("_bytea", 17, "bytea"),
    1005: ("_int2", 21, "smallint"),
    1007: ("_int4", 23, "integer"),
    1016: ("_int8", 20, "bigint"),
    1022: ("_float8", 701, "double precision"),
    2951: ("_uuid", 2950, "uuid"),
}
"""By number: name, number of the elements' type and its name. ``text[]`` is known to asyncpg."""


def type_row(oid: int) -> dict[str, Any]:
    """What the server would say of one of ``KNOWN_ARRAYS``."""
    name, element, element_name = KNOWN_ARRAYS[oid]
    return {
        "oid": oid,
        "ns": "pg_catalog",
        "name": name,
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
        "depth": 0,
        "basetype_name": None,
        "elemtype_name": element_name,
        "range_subtype_name": None,
    }


class _NotAsked:
    """Stands for the statement that would have asked: nothing was prepared in its place."""

    name = "known"


class KnowingConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that asks for a type only when it is none of ``KNOWN_ARRAYS``.

    What it overrides is asyncpg's own; where that is called otherwise one day, connections ask as they always did.
    """

    async def _introspect_types(self, typeoids: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - theirs
        if all(oid in KNOWN_ARRAYS for oid in typeoids):
            return [type_row(oid) for oid in typeoids], _NotAsked
        return await super()._introspect_types(typeoids, timeout)
