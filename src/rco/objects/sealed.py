"""Content as ciphertext: how a stream of it is cut, sealed and opened again, whoever has the keys.

::

    magic (14)  stream (16)  length of the head (4)  head  piece  piece  ...

``stream`` is drawn for each object. The head (what the content is) and every piece are ciphertexts of their own. A
piece holds ``CHUNK_BYTES`` of the content, the last one less or as many, and there is always one. Each is bound to its
stream, to its place in it and to whether it is the last: so none can be left out, moved, taken from elsewhere or cut.
"""

from __future__ import annotations

from typing import Protocol

from rco.errors import EvidenceBroken
from rco.objects.contract import CHUNK_BYTES

__all__ = ["MAGIC", "OVERHEAD_BYTES", "STREAM_BYTES", "ContentSealing", "Opening", "Sealer", "Sealing", "plain_bytes"]

MAGIC = b"rco-content/2\n"
STREAM_BYTES = 16
OVERHEAD_BYTES = 68
"""What a ciphertext is longer than its text."""
_HEAD_NUMBER = 0
_PIECE_BYTES = CHUNK_BYTES + OVERHEAD_BYTES


class Sealer(Protocol):
    """One namespace's cipher. ``tag`` stands in the keys of its objects: what others put is never replaced by it."""

    tag: str

    def seal(self, stream: bytes, number: int, data: bytes) -> bytes:
        """``OVERHEAD_BYTES`` longer than ``data``."""
        ...


class ContentSealing(Protocol):
    """The keys, poured in: ``rco.encryption.contents``."""

    def sealer(self, namespace: str) -> Sealer | None:
        """What to seal with now; ``None`` where the namespace has no key."""
        ...

    def tags(self) -> list[str]:
        """Those of every namespace that has or had a key."""
        ...

    def stream(self) -> bytes:
        """A new one."""
        ...

    async def unseal(self, stream: bytes, number: int, data: bytes) -> bytes:
        """What ``seal`` was given. Raises ``EvidenceBroken``, ``PayloadErased``, ``PayloadLocked``."""
        ...


class Sealing:
    """One object on its way in: ``head`` first, then ``add`` what comes, then ``end``."""

    __slots__ = ("_held", "_index", "_sealer", "_stream")

    def __init__(self, sealer: Sealer, stream: bytes) -> None:
        self._sealer, self._stream, self._index, self._held = sealer, stream, 0, b""

    def head(self, packed: bytes) -> bytes:
        sealed = self._sealer.seal(self._stream, _HEAD_NUMBER, packed)
        return MAGIC + self._stream + len(sealed).to_bytes(4, "big") + sealed

    def add(self, chunk: bytes) -> bytes:
        """The pieces that are full and surely not the last."""
        held = self._held + chunk
        sealed: list[bytes] = []
        while len(held) > CHUNK_BYTES:
            sealed.append(self._piece(held[:CHUNK_BYTES], last=False))
            held = held[CHUNK_BYTES:]
        self._held = held
        return b"".join(sealed)

    def end(self) -> bytes:
        return self._piece(self._held, last=True)

    def _piece(self, data: bytes, *, last: bool) -> bytes:
        self._index += 1
        return self._sealer.seal(self._stream, _number(self._index, last), data)


class Opening:
    """One object on its way out: ``add`` what was read, take the pieces that it opens to, then ``end``."""

    __slots__ = ("_address", "_held", "_index", "_sealing", "_stream")

    def __init__(self, sealing: ContentSealing, stream: bytes, address: str) -> None:
        self._sealing, self._stream, self._address = sealing, stream, address
        self._index, self._held = 0, b""

    async def head(self, sealed: bytes) -> bytes:
        return await self._sealing.unseal(self._stream, _HEAD_NUMBER, sealed)

    async def add(self, data: bytes) -> list[bytes]:
        """The pieces that are whole and surely not the last."""
        held = self._held + data
        opened: list[bytes] = []
        while len(held) > _PIECE_BYTES:
            opened.append(await self._piece(held[:_PIECE_BYTES], last=False))
            held = held[_PIECE_BYTES:]
        self._held = held
        return opened

    async def end(self) -> bytes:
        """The last piece. Raises ``EvidenceBroken`` where what stands last is not it."""
        return await self._piece(self._held, last=True)

    async def _piece(self, sealed: bytes, *, last: bool) -> bytes:
        self._index += 1
        if len(sealed) < OVERHEAD_BYTES:
            raise EvidenceBroken(
                f"the content kept under {self._address} was cut.", cure="Put it again, and look at the disk."
            )
        return await self._sealing.unseal(self._stream, _number(self._index, last), sealed)


def plain_bytes(sealed_bytes: int) -> int:
    """How long the content is whose pieces take so much."""
    pieces = max(1, -(-sealed_bytes // _PIECE_BYTES))
    return max(0, sealed_bytes - pieces * OVERHEAD_BYTES)


def _number(index: int, last: bool) -> int:
    return index << 1 | last
