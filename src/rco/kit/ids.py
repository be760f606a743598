"""The one door for identities.

Runs, nodes and events are UUIDv7 (RFC 9562): 16 bytes inside, the usual text outside. They sort by time, so that new
rows land at the end of a tree. Correlation ids are ULIDs, as the bridge's contract asks.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable

from rco.kit.clock import Clock, SystemClock

__all__ = ["CORR_ID", "Ids", "id_bytes", "id_text", "well_formed_corr_id"]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BY_BYTE = (_CROCKFORD * 8).encode()
"""A digit for each byte, by its five lower bits: every digit stands there eight times."""
_ENTROPY_BYTES = 4096
CORR_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,63}")
"""What a caller may send as ``X-Corr-ID``. Anything else is replaced, never reflected."""


class Ids:
    """Makes identities from a clock and a source of random bytes. Give both to make a repeatable sequence."""

    __slots__ = ("_at", "_clock", "_entropy", "_last", "_random", "_ulid_head", "_ulid_ms", "_ulid_start")

    def __init__(self, clock: Clock | None = None, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock: Clock = clock or SystemClock()
        self._random = random
        self._entropy = b""
        self._at = 0
        self._last = 0
        self._ulid_ms = -1
        self._ulid_head = self._ulid_start = ""

    def _bytes(self, count: int) -> bytes:
        at = self._at
        stop = at + count
        if stop > len(self._entropy):
            self._entropy = self._random(max(_ENTROPY_BYTES, count))
            at, stop = 0, count
        self._at = stop
        return self._entropy[at:stop]

    def uuid7(self, shard: int | None = None) -> bytes:
        """A new UUIDv7, strictly increasing within this process. The last byte is ``shard`` when that is given."""
        # 48 bits of milliseconds and 12 bits of fraction, kept increasing (RFC 9562 section 6.2, method 3).
        now = self._clock.now_us()
        stamp = (now // 1000 << 12) | ((now % 1000) * 4096 // 1000)
        if stamp <= self._last:
            stamp = self._last + 1
        self._last = stamp
        tail = int.from_bytes(self._bytes(8), "big") & 0x3FFFFFFFFFFFFFFF
        # 48 bits of time, version 7, 12 bits of time, variant 2, 62 random bits.
        raw = (stamp >> 12 << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | tail).to_bytes(16, "big")
        return raw if shard is None else raw[:15] + bytes((shard,))

    def ulid(self) -> str:
        """A new ULID: 26 characters of Crockford's base 32, sorted by millisecond."""
        now_ms = self._clock.now_us() // 1000
        if now_ms != self._ulid_ms:
            # Many are made in one millisecond, and this half of them is the same; most of it for a second.
            if now_ms >> 10 != self._ulid_ms >> 10:
                self._ulid_start = "".join([_CROCKFORD[(now_ms >> shift) & 31] for shift in range(45, 5, -5)])
            self._ulid_ms = now_ms
            self._ulid_head = self._ulid_start + _CROCKFORD[(now_ms >> 5) & 31] + _CROCKFORD[now_ms & 31]
        return self._ulid_head + self._bytes(16).translate(_BY_BYTE).decode()

    def secret(self, count: int) -> bytes:
        """``count`` random bytes."""
        return self._bytes(count)

    def token(self, count: int = 32) -> str:
        """``count`` random bytes as lower-case hexadecimal, for secrets."""
        return self._bytes(count).hex()


def id_text(raw: bytes) -> str:
    """The usual text of a 16-byte identity."""
    # Four times as fast as going through uuid.UUID, and every decision holds one.
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_bytes(text: str) -> bytes:
    """The 16 bytes of an identity's text. Raises ``ValueError`` when it is not one."""
    return uuid.UUID(text).bytes


def well_formed_corr_id(text: str) -> bool:
    """Whether a caller's correlation id may be used as it is."""
    return CORR_ID.fullmatch(text) is not None
