"""Canonical JSON and argument fingerprints.

``canonical_json`` follows RFC 8785 (JCS) for the values RCO hashes: keys sorted, no white space, UTF-8, integers and
strings as they are. Floats use the shortest text that reads back to the same number, as JCS does for the range RCO
accepts; NaN and the infinities are refused.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from rco.kit.digest import digest

__all__ = ["FINGERPRINT_BYTES", "canonical_json", "fingerprint"]

FINGERPRINT_BYTES = 8
_json = msgspec.json.Encoder(order="deterministic")
_pack = msgspec.msgpack.Encoder(order="deterministic").encode


def _refuse_nan(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} has no JSON form; send null or a string")
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_nan(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_nan(inner)


def canonical_json(value: Any) -> bytes:
    """The one JSON text of ``value``. Raises ``ValueError`` for NaN and infinities, ``TypeError`` for other types."""
    _refuse_nan(value)
    return _json.encode(value)


def fingerprint(kind: str, arguments: Any) -> bytes:
    """Eight bytes that change when the kind of an operation or its arguments change.

    Dictionaries are compared without regard to order. Raises ``TypeError`` when an argument has no plain form.
    """
    return digest(_pack((kind, arguments)))[:FINGERPRINT_BYTES]
