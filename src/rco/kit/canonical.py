"""Canonical JSON and argument fingerprints.

``canonical_json`` follows RFC 8785 (JCS): keys sorted by UTF-16 code units, no white space, UTF-8, numbers in the form
that ECMAScript gives them. One thing is wider: an integer beyond 2**53 keeps all its digits, where JCS would round it.
NaN and the infinities are refused.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from rco.kit.digest import digest

__all__ = ["FINGERPRINT_BYTES", "canonical_json", "fingerprint"]

FINGERPRINT_BYTES = 8
_SIMPLE = frozenset({str, int, bool, type(None)})
_sorted = msgspec.json.Encoder(order="sorted").encode
_as_given = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder(order="deterministic").encode


def _number(value: float) -> str:
    """ECMAScript's text of a number (ECMA-262, Number::toString): Python's shortest digits, laid out its way."""
    if not math.isfinite(value):
        raise ValueError(f"{value!r} has no JSON form; send null or a string")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    point = len(digits) - len(part) + int(exponent or 0)
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        text = digits.ljust(point, "0") if len(digits) <= point else f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{tail}e{point - 1:+d}"
    return text if value > 0 else "-" + text


def _is_simple(value: Any) -> bool:
    """Whether msgspec's own sorted text is canonical: no floats, and ASCII keys, which sort alike in any encoding."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(inner) not in _SIMPLE and not _is_simple(inner):
                return False
        return True
    if isinstance(value, (list, tuple)):
        return all(map(_is_simple, value))
    return value is None or isinstance(value, (str, int))


def _laid_out(value: Any) -> Any:
    """``value`` with its keys in order and its floats as they are to be written."""
    if isinstance(value, float):
        return msgspec.Raw(_number(value).encode())
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("only strings are keys in JSON: the number 1 and the text '1' would give the same key")
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _laid_out(value[key]) for key in keys}
    if isinstance(value, (list, tuple)):
        return [_laid_out(inner) for inner in value]
    return value


def canonical_json(value: Any) -> bytes:
    """The one JSON text of ``value``. Raises ``ValueError`` for NaN and infinities, ``TypeError`` for other types."""
    if _is_simple(value):
        return _sorted(value)
    plain = msgspec.to_builtins(value)
    return _as_given(_laid_out(plain))


def fingerprint(kind: str, arguments: Any) -> bytes:
    """Eight bytes that change when the kind of an operation or its arguments change.

    Dictionaries are compared without regard to order. Raises ``TypeError`` when an argument has no plain form.
    """
    return digest(_pack((kind, arguments)))[:FINGERPRINT_BYTES]
