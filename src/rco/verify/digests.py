"""The five digests that a stranger needs, written down anew from their documentation."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from blake3 import blake3

__all__ = ["bytes_address", "canonical", "content_address", "heads_hash", "idempotency_key", "leaf_digest", "link_hash"]


def _parts(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def leaf_digest(run: str, first_seq: int, data: bytes) -> str:
    """``BLAKE3(parts("rco journal segment v1", run id, first_seq, data))``. Raises ``ValueError`` for a bad run id."""
    packed = _parts(b"rco journal segment v1", uuid.UUID(run).bytes, _number(first_seq), data)
    return blake3(packed).hexdigest()


def link_hash(*, prev: str, writer: str, n: int, epoch: int, at_us: int, leaves: list[str], decisions: str) -> str:
    """``BLAKE3(parts("rco seal v1", prev, writer, n, epoch, at_us, leaves, decisions))``.

    Raises ``ValueError`` or ``OverflowError`` for what cannot be hashed.
    """
    packed = _parts(
        b"rco seal v1",
        bytes.fromhex(prev),
        writer.encode(),
        _number(n),
        _number(epoch),
        _number(at_us),
        b"".join(map(bytes.fromhex, leaves)),
        decisions.encode(),
    )
    return blake3(packed).hexdigest()


def heads_hash(heads: Iterable[tuple[str, str]]) -> str:
    """``BLAKE3(parts("rco heads v1", chain, hash of its last link, chain, hash, ...))``. Raises ``ValueError``."""
    parts = [part for chain, hash in heads for part in (chain.encode(), bytes.fromhex(hash))]
    return blake3(_parts(b"rco heads v1", *parts)).hexdigest()


def idempotency_key(run: str, step: str) -> str:
    """``BLAKE3("rco idempotency v1" + run id + step key)``, its first 16 bytes in hexadecimal."""
    return blake3(b"rco idempotency v1" + uuid.UUID(run).bytes + step.encode()).digest(16).hex()


def content_address(value: Any) -> str:
    """``b3:`` and the BLAKE3 of the canonical JSON of ``value``."""
    return "b3:" + blake3(canonical(value)).hexdigest()


def bytes_address(data: bytes) -> str:
    """``b3:`` and the BLAKE3 of ``data``."""
    return "b3:" + blake3(data).hexdigest()


def canonical(value: Any) -> bytes:
    """RFC 8785, with all digits of an integer kept. Raises ``ValueError`` for NaN and the infinities."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return b"{" + b",".join(canonical(key) + b":" + canonical(inner) for key, inner in pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, float):
        return _ecmascript(value).encode()
    return msgspec.json.encode(value)


def _ecmascript(value: float) -> str:
    """A number as ECMA-262 writes it (Number::toString)."""
    if not math.isfinite(value):
        raise ValueError(f"{value!r} has no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    every = (whole + ("" if fraction == "0" else fraction)).lstrip("0")
    point = len(whole.lstrip("0")) if whole.strip("0") else len(every) - len(fraction)
    point += int(exponent or 0)
    digits = every.rstrip("0")
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
