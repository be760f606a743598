"""A search attribute: a typed value that a run is found by."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import datetime
from enum import IntEnum
from typing import Any, Literal

import msgspec

from rco.kit.clock import iso, parse_iso

__all__ = [
    "ATTRIBUTES_MAX",
    "TEXT_BYTES_MAX",
    "Attribute",
    "AttributeFilter",
    "Meant",
    "Type",
    "attribute",
    "attribute_filter",
    "meant",
    "shown",
]

ATTRIBUTES_MAX = 32
"""Names that one run may have."""
TEXT_BYTES_MAX = 256
FILTERS_MAX = 8
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_FILTER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63}) *(>=|<=|>|<|=|:)(.*)", re.DOTALL)
_EXACT = 1 << 53
Op = Literal["=", ">=", "<=", ">", "<"]

_OPS: dict[str, Op] = {":": "=", "=": "=", ">=": ">=", "<=": "<=", ">": ">", "<": "<"}


class Type(IntEnum):
    """What an attribute's value is; ``GONE`` is none any more."""

    GONE = 0
    TEXT = 1
    NUMBER = 2
    BOOL = 3
    TIME = 4
    """In microseconds since the epoch."""


class Attribute(msgspec.Struct, frozen=True, array_like=True):
    """``text`` of a TEXT, ``number`` of everything else."""

    name: str
    type: int
    text: str | None = None
    number: float | None = None


class AttributeFilter(msgspec.Struct, frozen=True):
    """Runs whose attribute ``name`` compares so to ``value``, which is meant as ``meant`` says."""

    name: str
    op: Op
    value: str


Meant = tuple[Type, str | float]


def attribute(name: str, value: Any) -> Attribute:
    """``value`` under ``name``; ``None`` takes the attribute away. Raises ``ValueError`` for what none can be."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an attribute: a letter, then letters, digits, _ . -, 64 in all")
    match value:
        case None:
            return Attribute(name, Type.GONE)
        case bool():
            return Attribute(name, Type.BOOL, None, float(value))
        case int() if abs(value) <= _EXACT:
            return Attribute(name, Type.NUMBER, None, float(value))
        case float() if math.isfinite(value):
            return Attribute(name, Type.NUMBER, None, value + 0.0)
        case str():
            if len(value.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
                raise ValueError(f"attribute {name!r} is longer than {TEXT_BYTES_MAX} bytes")
            if "\0" in value or any(0xD800 <= ord(one) <= 0xDFFF for one in value):
                raise ValueError(f"attribute {name!r} holds what is no text")
            return Attribute(name, Type.TEXT, value)
        case datetime() if value.tzinfo is not None:
            return Attribute(name, Type.TIME, None, float(parse_iso(value.isoformat())))
    raise ValueError(
        f"attribute {name!r} is {type(value).__name__} {str(value)[:40]!r}: give a text, a number up to 2**53, "
        "true or false, or a time with its zone"
    )


def shown(one: Attribute) -> Any:
    """Its value as JSON: times as RFC 3339, whole numbers as such."""
    number = one.number or 0.0
    match one.type:
        case Type.TEXT:
            return one.text
        case Type.BOOL:
            return bool(number)
        case Type.TIME:
            return iso(int(number))
        case _:
            return int(number) if number.is_integer() else number


def attribute_filter(text: str) -> AttributeFilter:
    """From ``customer=c-7``, ``customer:c-7``, ``amount>=100``. Raises ``ValueError`` for what is none."""
    found = _FILTER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not NAME=VALUE, NAME>=VALUE, NAME<=VALUE, NAME>VALUE or NAME<VALUE")
    name, op, value = found.groups()
    made = AttributeFilter(name, _OPS[op], value.strip())
    if not meant(made):
        raise ValueError(f"{text[:80]!r}: a range is of numbers, or of times as 2026-11-21T10:00:00Z")
    return made


def meant(where: AttributeFilter) -> list[Meant]:
    """What the value may be: ``7`` the text and the number, ``true`` the text and the truth. Of ranges, a number or a
    time."""
    value, found = where.value, list[Meant]()
    if where.op == "=":
        found.append((Type.TEXT, value))
        if value in ("true", "false"):
            found.append((Type.BOOL, float(value == "true")))
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        if math.isfinite(number):
            found.append((Type.NUMBER, number))
    with suppress(ValueError, OverflowError):
        found.append((Type.TIME, float(parse_iso(value))))
    return found
