"""The one door for hashing inside RCO: BLAKE3-256. What a provider signs with stays inside its verifier."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

__all__ = [
    "DIGEST_BYTES",
    "ContentDigest",
    "KeyedDigest",
    "chained_digest",
    "content_address",
    "derived_key",
    "digest",
    "keyed_digest",
    "length_prefixed",
]

DIGEST_BYTES = 32


def digest(data: bytes) -> bytes:
    """BLAKE3-256 of ``data``: 32 bytes."""
    return blake3(data).digest()


def keyed_digest(key: bytes, data: bytes) -> bytes:
    """Keyed BLAKE3-256. ``key`` is exactly 32 bytes."""
    return blake3(data, key=key).digest()


def chained_digest(key: bytes, messages: Iterable[bytes]) -> bytes:
    """Keyed BLAKE3-256 of each message in turn, each with the digest before it as its key. ``key`` of none."""
    for message in messages:
        key = blake3(message, key=key).digest()
    return key


def derived_key(context: str, material: bytes) -> bytes:
    """32 bytes for one purpose from key ``material``. ``context`` is a constant of the code that names the purpose
    (BLAKE3 paper, section 2.3): two contexts give unrelated keys."""
    return blake3(material, derive_key_context=context).digest()


def content_address(data: bytes) -> str:
    """``b3:`` and 64 hexadecimal digits."""
    return "b3:" + blake3(data).hexdigest()


class ContentDigest:
    """The content address of what comes in pieces."""

    __slots__ = ("_hasher",)

    def __init__(self) -> None:
        self._hasher = blake3()

    def add(self, piece: bytes) -> None:
        self._hasher.update(piece)

    def address(self) -> str:
        """That of all pieces so far. More may follow."""
        return "b3:" + self._hasher.hexdigest()


class KeyedDigest:
    """The keyed digest of what comes in pieces: the same as ``keyed_digest`` of all of them joined."""

    __slots__ = ("_hasher",)

    def __init__(self, key: bytes, first: bytes = b"") -> None:
        """``key`` is exactly 32 bytes."""
        self._hasher = blake3(first, key=key)

    def add(self, piece: bytes) -> None:
        self._hasher.update(piece)

    def digest(self) -> bytes:
        """32 bytes, of all pieces so far."""
        return self._hasher.digest()


def length_prefixed(*parts: bytes) -> bytes:
    """Each part behind its length as 4 bytes big-endian, so that no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
