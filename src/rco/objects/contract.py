"""What a keeper of objects promises. The suite in ``tests/conformance/test_objects.py`` decides whether one is one.

A keeper knows keys and bytes only; what the bytes are, whose they are and whether they are what they should be is for
who looks down on it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import msgspec

from rco.errors import Misuse, NotFound

__all__ = ["CHUNK_BYTES", "Dropping", "Found", "Intake", "Objects", "Rest", "Seen", "Spool", "check_key", "read"]

CHUNK_BYTES = 64 << 10
"""Objects move in pieces of this size; at most two of one object are in memory at a time."""
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*){1,7}")
KEY_CHARACTERS_MAX = 512


class Seen(msgspec.Struct, frozen=True):
    """An object as a list shows it. ``put_us`` is when it was last put, by the keeper's own clock."""

    key: str
    size_bytes: int
    put_us: int


class Rest(Protocol):
    """What stands behind the first piece of an object, in pieces. ``aclose`` lets go of it, begun or not, and may come
    again."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[None]: ...


class Found:
    """An object that was found and begun: what it is, its first piece, and the rest of it, which can be asked for once.

    The pieces are of ``CHUNK_BYTES``, the last one shorter; what is in one piece has no rest. One that is replaced
    meanwhile goes on as it was, or ends with ``StoreError``. To be closed when there is a rest.
    """

    __slots__ = ("first", "rest", "seen")

    def __init__(self, seen: Seen, first: bytes, rest: Rest | None = None) -> None:
        self.seen, self.first, self.rest = seen, first, rest

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it; nothing where it is empty. Raises ``StoreError``."""
        if self.first:
            yield self.first
        if self.rest is not None:
            async for piece in self.rest:
                yield piece

    async def close(self) -> None:
        """May be called twice."""
        if self.rest is not None:
            await self.rest.aclose()


class Intake(Protocol):
    """One object on its way in. Exactly one of ``commit`` and ``abort`` ends it; ``abort`` may come again."""

    async def write(self, chunk: bytes) -> None:
        """Take the next piece. Raises ``StoreError`` when it cannot be kept."""
        ...

    async def commit(self, key: str) -> None:
        """Put what was written under ``key``, whole or not at all. When this returns it is durable; what was there
        before is replaced."""
        ...

    async def abort(self) -> None:
        """Forget what was written. Raises nothing."""
        ...


class Spool(Protocol):
    """Bytes on their way. Nothing of them is left after ``close``, which may come twice, nor after a crash."""

    size_bytes: int

    async def write(self, chunk: bytes) -> None:
        """Raises ``StoreError`` or ``Overloaded`` when there is no room."""
        ...

    def read(self) -> AsyncIterator[bytes]:
        """All that was written, from the beginning, in pieces of ``CHUNK_BYTES``. May be asked for again."""
        ...

    async def close(self) -> None: ...


class Objects(Protocol):
    """Raises ``StoreError`` wherever the place gives no answer."""

    place: str
    """Where it is, for people: no secret is in it."""

    async def start(self) -> None:
        """Raises ``ConfigInvalid`` when the place can never be used."""
        ...

    async def stop(self) -> None:
        """May be called before ``start`` and twice."""
        ...

    async def begin(self) -> Intake:
        """An object that comes in pieces."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Put ``data``, which are in memory anyway, under ``key``: as an intake of one piece, and durable when this
        returns. Raises ``StoreError``, and what ``write`` raises: it may be there or not then."""
        ...

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        """Put each of them, no key twice; all are durable when this returns. For who moves many and waits for none.
        Raises ``StoreError``: each may be there or not then."""
        ...

    async def spool(self) -> Spool:
        """Room for what must be read again before it is known what becomes of it, where objects come in."""
        ...

    async def seen(self, key: str) -> Seen | None:
        """What is there under ``key``, or ``None``."""
        ...

    async def open(self, key: str) -> Found | None:
        """What is there under ``key``, begun, or ``None``."""
        ...

    async def delete(self, key: str) -> bool:
        """Whether there was something to delete. When this returns, it is gone for good."""
        ...

    async def collect(self) -> int:
        """Remove what is left of uploads that a crash cut off, and say how many there were. What is still coming in,
        here or in another process, is left alone."""
        ...

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        """Objects whose keys begin with ``prefix`` and are greater than ``after``, by key."""
        ...


class Dropping(Objects, Protocol):
    """A keeper that can delete what nobody has put for long. A bucket is none: between asking it for an object's time
    and deleting it somebody may put the same content again, and be told that it is kept. It has rules of its own for
    that."""

    async def drop(self, seen: Seen) -> bool:
        """Delete an object unless somebody has put it since it was ``seen``. Whether it went; then it is gone for
        good."""
        ...


async def read(objects: Objects, key: str) -> AsyncIterator[bytes]:
    """The object in pieces. Raises ``NotFound`` at the first one when nothing is there."""
    found = await objects.open(key)
    if found is None:
        raise NotFound(f"no object {key}.")
    try:
        async for piece in found.pieces():
            yield piece
    finally:
        await found.close()


def check_key(key: str) -> str:
    """``key``, if it is one: two to eight words of a to z, 0 to 9, ``_`` and ``-`` with slashes between them, so that
    it can neither leave the place nor mean two things. Raises ``Misuse``."""
    if len(key) > KEY_CHARACTERS_MAX or not _KEY.fullmatch(key):
        raise Misuse(
            f"{key[:80]!r} is not the key of an object.", cure="Use words of a-z, 0-9, _ and - with / between."
        )
    return key
