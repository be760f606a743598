"""Strict JSON: one text, one meaning. What two readers could read differently is refused."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rco.errors import Reason, Refused

__all__ = ["DEPTH_LIMIT", "decode_json", "decode_object"]

DEPTH_LIMIT = 64
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1
_decode = msgspec.json.Decoder().decode
# Possessive, so that it cannot backtrack.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def _malformed(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, detail)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is, as ``decode_json`` reads it. Raises ``Refused`` besides for what is none
    (``json_not_object``)."""
    value = decode_json(body)
    if type(value) is not dict:
        raise _malformed("json_not_object")
    return value


def decode_json(body: bytes) -> Any:
    """The JSON object or array that ``body`` is (RFC 8259, UTF-8 without BOM).

    Raises ``Refused`` (``MALFORMED``): ``json_invalid`` (also NaN, infinities, lone surrogates, trailing bytes),
    ``json_encoding``, ``json_not_object`` (a bare value), ``json_depth`` beyond 64 levels, ``json_number`` beyond 64
    bits or a double's range, ``json_nul`` (``\\u0000``, which text columns cannot hold), ``json_duplicate_key``.
    """
    try:
        value = _decode(body)
    except UnicodeDecodeError:
        raise _malformed("json_encoding") from None
    except RecursionError:
        # The decoder stops at the interpreter's own bound, far above ours and far below the stack's end.
        raise _malformed("json_depth") from None
    except msgspec.ValidationError:
        raise _malformed("json_number") from None
    except msgspec.DecodeError:
        raise _malformed("json_invalid") from None
    if type(value) is not dict and type(value) is not list:
        raise _malformed("json_not_object")
    keys = _survey(value)
    if _colons(body, keys) != keys:
        raise _malformed("json_duplicate_key")
    if b"\\u0000" in body:
        _refuse_nul(value)
    return value


def _colons(body: bytes, keys: int) -> int:
    """How many keys the text has, repeated ones counted each time. ``body`` is valid JSON."""
    # Each key has a colon behind it. Texts with colons in them can only make the count larger, so an equal count is
    # exact, and the texts need not be taken out. Without white space every key ends in '":', of which texts hold fewer.
    if body.count(b":") == keys:
        return keys
    if body.translate(None, b" \t\n\r").count(b'":') == keys:
        return keys
    return _STRING.sub(b"", body).count(b":")


def _survey(value: Any) -> int:
    """How many keys there are in all. Raises ``Refused`` for depth and for numbers that do not fit 64 bits."""
    keys = depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > DEPTH_LIMIT:
            raise _malformed("json_depth")
        below = []
        for node in level:
            if type(node) is dict:
                keys += len(node)
                children: Any = node.values()
            else:
                children = node
            for child in children:
                kind = type(child)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    below.append(child)
                elif kind is int and not _INT_MIN <= child <= _INT_MAX:
                    raise _malformed("json_number")
        level = below
    return keys


def _refuse_nul(value: Any) -> None:
    level = [value]
    while level:
        node = level.pop()
        if type(node) is str:
            if "\0" in node:
                raise _malformed("json_nul")
        elif type(node) is dict:
            level.extend(node)
            level.extend(node.values())
        elif type(node) is list:
            level.extend(node)
