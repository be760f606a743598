"""Which bytes a ``Range`` header asks for (RFC 9110, section 14): one range of bytes, or all."""

from __future__ import annotations

import re

__all__ = ["Unsatisfiable", "asked_range", "matches"]

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*")
_TAGS = re.compile(r'(?:W/)?"[^"\x00-\x20\x7f]*"')


class Unsatisfiable(Exception):
    """No byte of it is there: 416."""


def asked_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte, both included; ``None`` for all of it, also where the header says what we do not serve
    (another unit, several ranges): it may be ignored then (section 14.2). Raises ``Unsatisfiable``."""
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0 or size_bytes == 0:
            raise Unsatisfiable
        return max(0, size_bytes - int(last)), size_bytes - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise Unsatisfiable
    return int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1


def matches(header: str | None, tag: str) -> bool:
    """Whether an ``If-None-Match`` names ``tag`` (weak comparison, section 8.8.3.2) or anything."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(one.removeprefix("W/") == tag for one in _TAGS.findall(header))
