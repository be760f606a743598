"""Strict forms (``application/x-www-form-urlencoded``, WHATWG URL section 5): one text, one meaning."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["FORM", "Pairs", "decode_form", "form_data", "is_form", "media_type"]

FORM = "application/x-www-form-urlencoded"
PAIRS_CAP = 512
Pairs = list[tuple[str, str]]

_ESCAPE = re.compile(rb"%(?:([0-9A-Fa-f]{2})|)")


def media_type(value: bytes | None) -> str:
    """The media type of a ``Content-Type`` in lower case, without its parameters."""
    return (value or b"").partition(b";")[0].strip().lower().decode("latin-1")


def is_form(value: bytes | None) -> bool:
    """Whether a ``Content-Type`` announces a form."""
    return media_type(value) == FORM


def decode_form(body: bytes) -> Pairs:
    """The pairs in their order, repeated names and empty values included.

    Raises ``ValueError`` for more than 512 pairs, a broken escape, what is not UTF-8, and NUL.
    """
    if not body:
        return []
    parts = body.split(b"&", PAIRS_CAP)
    if len(parts) > PAIRS_CAP:
        raise ValueError("the form has too many pairs")
    pairs = []
    for part in parts:
        name, _, value = part.partition(b"=")
        pairs.append((_text(name), _text(value)))
    return pairs


def _text(raw: bytes) -> str:
    raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _ESCAPE.sub(_byte, raw)
    if b"\0" in raw:
        raise ValueError("the form holds NUL")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("the form is not UTF-8") from None


def _byte(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise ValueError("the form has a broken escape")
    return bytes((int(digits, 16),))


def form_data(pairs: Pairs) -> dict[str, Any]:
    """The pairs as plain data: a text for a name that comes once, a list of texts for one that comes again."""
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name not in data:
            data[name] = value
        elif isinstance(data[name], list):
            data[name].append(value)
        else:
            data[name] = [data[name], value]
    return data
