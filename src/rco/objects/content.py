"""Content by its address: the BLAKE3 digest of the bytes is their name, and what comes out is checked against it.

An object is a head (what the content is) and the content. The address covers the content alone, so the same bytes have
one address whatever was said of them; the last one who put them says what they are. Where the namespace that puts them
has a key, both are ciphertext (``sealed``), and the address is that of what they are all the same.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from rco.errors import EvidenceBroken, PayloadErased, PayloadLocked
from rco.kit.digest import ContentDigest, content_address
from rco.model.staged import StagedObject
from rco.objects.contract import CHUNK_BYTES, Found, Intake, Objects
from rco.objects.sealed import MAGIC, STREAM_BYTES, ContentSealing, Opening, Sealing, plain_bytes
from rco.objects.staging import StagedObjects

__all__ = ["CONTENT", "Content", "ContentStore", "Filling", "Meta", "Stored", "key_of", "well_formed_address"]

CONTENT = "content/"
"""Where keys of content begin."""
_MAGIC = b"rco-content/1\n"
_ADDRESS = re.compile(r"b3:[0-9a-f]{64}")
_HEAD_BYTES_MAX = 8 << 10


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What somebody said of content. Nothing here is believed: it is never a reason to run or to render anything."""

    type: str = ""
    content_encoding: str = ""
    provider: str = ""
    put_us: int = 0


class Stored(msgspec.Struct, frozen=True):
    """Content that is kept. Durable when one holds this, but for what is ``staged``: that is with the commit which
    carries it."""

    address: str
    size_bytes: int
    staged: StagedObject | None = None


def well_formed_address(text: str) -> bool:
    """Whether ``text`` is ``b3:`` and 64 lower-case hexadecimal digits."""
    return _ADDRESS.fullmatch(text) is not None


def key_of(address: str) -> str:
    """Where content of this address stands: spread over 256 folders."""
    digits = address.removeprefix("b3:")
    return f"{CONTENT}{digits[:2]}/{digits}"


class ContentStore:
    """Puts content into and gets it out of a keeper of objects. What fits into a piece goes in and comes out as one.

    With ``sealing``, what a namespace that has a key puts is kept as ciphertext, in an object of that namespace's own:
    erasing its key erases it, and what others put of the same content stays.
    """

    def __init__(
        self, objects: Objects, sealing: ContentSealing | None = None, staging: StagedObjects | None = None
    ) -> None:
        """``staging``: where ``objects`` are staged, for ``Filling.finish``."""
        self.objects, self._sealing, self.staging = objects, sealing, staging

    def begin(self, meta: Meta, namespace: str = "default") -> Filling:
        """Content that comes in pieces. Nothing is kept anywhere before there is more of it than one piece. Raises
        ``Forbidden`` where nothing new of the namespace can be kept."""
        packed = msgspec.json.encode(meta)
        sealer = None if self._sealing is None else self._sealing.sealer(namespace)
        if self._sealing is None or sealer is None:
            return Filling(self.objects, _MAGIC + len(packed).to_bytes(4, "big") + packed)
        sealing = Sealing(sealer, self._sealing.stream())
        return Filling(self.objects, sealing.head(packed), sealing, f"-{sealer.tag}")

    async def open(self, address: str) -> Content | None:
        """What is there under ``address``, or ``None``. Raises ``EvidenceBroken`` for what is no content at all,
        ``PayloadErased`` and ``PayloadLocked`` where all there is is ciphertext that nobody here can read."""
        gone: PayloadErased | PayloadLocked | None = None
        for look in (self.objects.open,) if self.staging is None else (self.staging.near, self.staging.far):
            # What is where objects are kept is read without the store, whoever put it.
            found = await look(key_of(address))
            if found is not None:
                return await self._plain(address, found)
            for tag in () if self._sealing is None else self._sealing.tags():
                found = await look(f"{key_of(address)}-{tag}")
                if found is not None:
                    try:
                        return await self._sealed(address, found)
                    except (PayloadErased, PayloadLocked) as problem:
                        await found.close()
                        # Another namespace may have put the same.
                        gone = problem
        if gone is not None:
            raise gone
        return None

    async def _plain(self, address: str, found: Found) -> Content:
        first = found.first
        begin = len(_MAGIC) + 4
        length = int.from_bytes(first[len(_MAGIC) : begin], "big")
        start = begin + length
        try:
            if not first.startswith(_MAGIC) or length > _HEAD_BYTES_MAX or len(first) < start:
                raise msgspec.DecodeError
            meta = msgspec.json.decode(first[begin:start], type=Meta)
        except (msgspec.DecodeError, UnicodeError):
            await found.close()
            raise broken(address) from None
        return Content(address, meta, found.seen.size_bytes - start, first[start:], found)

    async def _sealed(self, address: str, found: Found) -> Content:
        assert self._sealing is not None
        first = found.first
        begin = len(MAGIC) + STREAM_BYTES + 4
        length = int.from_bytes(first[begin - 4 : begin], "big")
        start = begin + length
        opening = Opening(self._sealing, first[len(MAGIC) : begin - 4], address)
        try:
            if not first.startswith(MAGIC) or length > _HEAD_BYTES_MAX or len(first) < start:
                raise msgspec.DecodeError
            meta = msgspec.json.decode(await opening.head(first[begin:start]), type=Meta)
            size_bytes = plain_bytes(found.seen.size_bytes - start)
            if found.rest is None:
                # All of it is here, and is opened at once: what is small is answered at once.
                pieces = [*await opening.add(first[start:]), await opening.end()]
                return Content(address, meta, size_bytes, b"".join(pieces), Found(found.seen, b""))
        except (msgspec.DecodeError, UnicodeError):
            await found.close()
            raise broken(address) from None
        except EvidenceBroken:
            await found.close()
            raise
        return Content(address, meta, size_bytes, b"", Found(found.seen, b"", _Opened(opening, first[start:], found)))


class _Opened:
    """The rest of an object, opened as it is read."""

    __slots__ = ("_first", "_found", "_opening", "_pieces")

    def __init__(self, opening: Opening, first: bytes, found: Found) -> None:
        self._opening, self._first, self._found = opening, first, found
        self._pieces: AsyncGenerator[bytes] | None = None

    def __aiter__(self) -> _Opened:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._opened()
        return await anext(self._pieces)

    async def aclose(self) -> None:
        if self._pieces is not None:
            await self._pieces.aclose()
        await self._found.close()

    async def _opened(self) -> AsyncGenerator[bytes]:
        for piece in await self._opening.add(self._first):
            yield piece
        if self._found.rest is not None:
            async for data in self._found.rest:
                for piece in await self._opening.add(data):
                    yield piece
        yield await self._opening.end()


class Filling:
    """Content on its way in. End it with ``finish`` or ``abort``."""

    def __init__(self, objects: Objects, head: bytes, sealing: Sealing | None = None, where: str = "") -> None:
        """``sealing``: what makes ciphertext of it. ``where``: what its object's key ends with."""
        self._objects, self._digest = objects, ContentDigest()
        self._held: bytes | bytearray = head
        self._intake: Intake | None = None
        self._sealing, self._where = sealing, where
        self.size_bytes = 0

    async def write(self, chunk: bytes) -> None:
        self._digest.add(chunk)
        self.size_bytes += len(chunk)
        await self._keep(chunk if self._sealing is None else self._sealing.add(chunk))

    async def _keep(self, chunk: bytes) -> None:
        if self._intake is not None:
            await self._intake.write(chunk)
        elif len(self._held) + len(chunk) <= CHUNK_BYTES:
            self._held += chunk
        else:
            self._intake = await self._objects.begin()
            held, self._held = bytes(self._held), b""
            await self._intake.write(held)
            await self._intake.write(chunk)

    @property
    def address(self) -> str:
        """That of what was written so far."""
        return self._digest.address()

    async def finish(self, staging: StagedObjects | None = None) -> Stored:
        """Durable when this returns. A second put of the same bytes changes nothing but what is said of them. With
        ``staging`` what is small may be staged instead: whoever asks for that hands it to a commit, and tells
        ``staging`` what became of that."""
        address = self.address
        if self._sealing is not None:
            await self._keep(self._sealing.end())
        key = key_of(address) + self._where
        if self._intake is None:
            if staging is not None and (staged := staging.stage(key, bytes(self._held))) is not None:
                return Stored(address, self.size_bytes, staged)
            await self._objects.put(key, bytes(self._held))
        else:
            await self._intake.commit(key)
        return Stored(address, self.size_bytes)

    async def abort(self) -> None:
        if self._intake is not None:
            await self._intake.abort()


class Content:
    """Content that was found. Its pieces can be asked for once."""

    def __init__(self, address: str, meta: Meta, size_bytes: int, head: bytes, found: Found) -> None:
        self.address, self.meta, self.size_bytes = address, meta, size_bytes
        self._head, self._found = head, found

    def at_hand(self) -> bytes | None:
        """All of it, checked, where it came in one piece; else ``None``. Raises ``EvidenceBroken``."""
        if self._found.rest is not None:
            return None
        if len(self._head) != self.size_bytes or content_address(self._head) != self.address:
            raise broken(self.address)
        return self._head

    async def stream(self, first: int = 0, last: int | None = None) -> AsyncIterator[bytes]:
        """The bytes ``first`` to ``last`` (both included; ``None``: to the end), in pieces.

        All of the content is read and its digest is checked, whatever is asked for; the last piece is held back until
        it was found right. Raises ``EvidenceBroken`` instead of it else: what came until then is not the content.
        """
        stop = self.size_bytes if last is None else last + 1
        digest = ContentDigest()
        held = b""
        at = 0
        async for piece in self._all():
            digest.add(piece)
            wanted = piece[max(0, first - at) : max(0, stop - at)]
            at += len(piece)
            if wanted:
                if held:
                    yield held
                held = wanted
        if at != self.size_bytes or digest.address() != self.address:
            raise broken(self.address)
        if held:
            yield held

    async def _all(self) -> AsyncIterator[bytes]:
        if self._head:
            yield self._head
            self._head = b""
        if self._found.rest is not None:
            async for piece in self._found.rest:
                yield piece

    async def close(self) -> None:
        """Let go of the object. May be called twice."""
        await self._found.close()

    async def whole(self, limit_bytes: int = CHUNK_BYTES) -> bytes:
        """All of it, checked. For what is known to be small."""
        if self.size_bytes > limit_bytes:
            raise broken(self.address)
        return b"".join([piece async for piece in self.stream()])


def broken(address: str) -> EvidenceBroken:
    """What is kept under an address is not what the address says."""
    return EvidenceBroken(
        f"the content kept under {address} has another digest.", cure="Put it again, and look at the disk."
    )
