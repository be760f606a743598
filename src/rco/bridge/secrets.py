"""Opening a provider's secrets. They are read when a provider is built or reloaded, and never shown again."""

from __future__ import annotations

import binascii
from collections.abc import Callable

from rco.errors import ConfigInvalid
from rco.kit.clock import parse_iso

__all__ = ["Opened", "PublicBytes", "Resolve", "Secret", "active", "open_base64", "open_hex", "open_window"]

Resolve = Callable[[str], bytes]
"""Gives the bytes behind ``env:NAME`` or ``file:/path``. Raises ``ConfigInvalid`` when there are none."""

Opened = Callable[[bytes], bytes]
"""Turns a secret as it is written into the key it stands for. Raises ``ValueError`` without the secret in it."""

_FOREVER_US = 1 << 62


class PublicBytes(bytes):
    """A public key, where a kind takes both shared secrets and public keys."""

    __slots__ = ()


class Secret:
    """One key with its name and the time in which it counts. Its text never shows the key."""

    __slots__ = ("key", "not_after_us", "not_before_us", "secret_id")

    def __init__(self, secret_id: str, key: bytes, not_before_us: int = 0, not_after_us: int = _FOREVER_US) -> None:
        self.secret_id, self.key = secret_id, key
        self.not_before_us, self.not_after_us = not_before_us, not_after_us

    def __repr__(self) -> str:
        return f"Secret({self.secret_id!r})"


def active(secret: Secret, now_us: int) -> bool:
    """Whether ``secret`` counts at ``now_us``. Both ends of its time are inside."""
    return secret.not_before_us <= now_us <= secret.not_after_us


def open_window(not_before: str | None, not_after: str | None, key: str) -> tuple[int, int]:
    """The two ends in microseconds. Raises ``ConfigInvalid`` for what is no RFC 3339 time, or an end before its
    start; ``key`` says where it stands."""
    try:
        first = 0 if not_before is None else parse_iso(not_before)
        last = _FOREVER_US if not_after is None else parse_iso(not_after)
    except ValueError as error:
        raise ConfigInvalid(str(error), key=key) from error
    if last < first:
        raise ConfigInvalid(f"not_after {not_after} is before not_before {not_before}", cure="Exchange them.", key=key)
    return first, last


def open_base64(text: bytes) -> bytes:
    """Strict base64; padding may be left out. Raises ``ValueError``."""
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error


def open_hex(text: bytes) -> bytes:
    """Strict hexadecimal. Raises ``ValueError``."""
    try:
        return binascii.unhexlify(text)
    except binascii.Error as error:
        raise ValueError("it is not hexadecimal") from error
