"""Content as ciphertext: any part of it comes out as it went in, and nothing of it can be changed, moved or cut."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.encryption.cipher import Cipher, Place, key_id_of
from rco.errors import EvidenceBroken, PayloadErased, StoreError
from rco.kit.clock import SystemClock
from rco.kit.digest import content_address
from rco.model.staged import StagedObject
from rco.objects.content import ContentStore, Meta, key_of
from rco.objects.contract import CHUNK_BYTES
from rco.objects.contract import read as stored
from rco.objects.memory import MemoryObjects
from rco.objects.sealed import MAGIC, OVERHEAD_BYTES, STREAM_BYTES, Opening, Sealing
from rco.objects.staging import StagedObjects

PIECE = CHUNK_BYTES + OVERHEAD_BYTES
WORD = b"Trillian "


class Ring:
    """Keys of two namespaces, as ``rco.encryption.contents`` pours them in."""

    def __init__(self) -> None:
        self.ciphers = {
            name: Cipher(name, os.urandom(16), os.urandom(32), os.urandom(16), os.urandom) for name in ("acme", "bolt")
        }
        self.gone: set[bytes] = set()

    def sealer(self, namespace: str) -> Sealer | None:
        return Sealer(self.ciphers[namespace]) if namespace in self.ciphers else None

    def tags(self) -> list[str]:
        return sorted(self.ciphers)

    def stream(self) -> bytes:
        return os.urandom(STREAM_BYTES)

    async def unseal(self, stream: bytes, number: int, data: bytes) -> bytes:
        key_id = key_id_of(data)
        if key_id in self.gone:
            raise PayloadErased("gone")
        for cipher in self.ciphers.values():
            if cipher.key_id == key_id:
                return cipher.decrypt(Place.CONTENT, stream, number, data)
        raise EvidenceBroken("no such key")


class Sealer:
    def __init__(self, cipher: Cipher) -> None:
        self._cipher, self.tag = cipher, cipher.namespace

    def seal(self, stream: bytes, number: int, data: bytes) -> bytes:
        return self._cipher.encrypt(Place.CONTENT, stream, number, data)


class Shelf:
    """A store over memory, and what stands in it."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.objects = MemoryObjects(SystemClock(), 1 << 26)
        self.store = ContentStore(self.objects, self.ring)

    async def put(self, body: bytes, namespace: str = "acme", step: int = 50_000) -> str:
        filling = self.store.begin(Meta(type="text/plain"), namespace)
        for at in range(0, len(body), step):
            await filling.write(body[at : at + step])
        address = (await filling.finish()).address
        assert address == content_address(body)
        return address

    async def read(self, address: str, first: int = 0, last: int | None = None) -> bytes:
        content = await self.store.open(address)
        assert content is not None
        try:
            return b"".join([piece async for piece in content.stream(first, last)])
        finally:
            await content.close()

    async def kept(self, address: str, namespace: str = "acme") -> bytes:
        return b"".join([piece async for piece in stored(self.objects, f"{key_of(address)}-{namespace}")])

    async def rewrite(self, address: str, data: bytes, namespace: str = "acme") -> None:
        await self.objects.put(f"{key_of(address)}-{namespace}", data)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3 * CHUNK_BYTES), st.data())
async def test_any_part_is_that_part(size: int, data: st.DataObject) -> None:
    shelf = Shelf()
    body = (WORD * (size // len(WORD) + 1))[:size]
    address = await shelf.put(body, step=data.draw(st.integers(500, 200_000)))
    first = data.draw(st.integers(0, size))
    last = data.draw(st.integers(first, size + 5))
    assert await shelf.read(address, first, last) == body[first : last + 1]
    content = await shelf.store.open(address)
    assert content is not None
    assert (content.size_bytes, content.meta.type) == (size, "text/plain")
    assert await shelf.read(address) == body
    kept = await shelf.kept(address)
    assert WORD not in kept
    assert b"text/plain" not in kept


@pytest.mark.parametrize("size", [0, 1, 63_000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
async def test_sizes_at_the_edges_of_a_piece(size: int) -> None:
    shelf = Shelf()
    body = os.urandom(size)
    address = await shelf.put(body)
    assert await shelf.read(address) == body
    content = await shelf.store.open(address)
    assert content is not None
    assert content.size_bytes == size
    assert (content.at_hand() == body) if content.at_hand() is not None else size > CHUNK_BYTES - 1000
    await content.close()


async def broken(shelf: Shelf, address: str, data: bytes) -> None:
    await shelf.rewrite(address, data)
    with pytest.raises(EvidenceBroken):
        await shelf.read(address)


async def test_no_piece_can_be_swapped_left_out_repeated_cut_or_taken_from_elsewhere() -> None:
    shelf = Shelf()
    # All pieces say the same, so that a digest of what comes out would not tell them apart by itself.
    body = bytes(4 * CHUNK_BYTES)
    address = await shelf.put(body)
    whole = await shelf.kept(address)
    start = len(whole) - 4 * PIECE
    head, pieces = whole[:start], [whole[start + at * PIECE : start + (at + 1) * PIECE] for at in range(4)]
    await shelf.put(body, step=1000)
    other = await shelf.kept(address)
    theirs = [other[start + at * PIECE : start + (at + 1) * PIECE] for at in range(4)]
    for changed in (
        [pieces[1], pieces[0], *pieces[2:]],
        [pieces[0], pieces[2], pieces[3]],
        [*pieces[:2], pieces[1], pieces[3]],
        pieces[:3],
        [*pieces, pieces[3]],
        [*pieces[:3], pieces[2]],
        [pieces[0], theirs[1], *pieces[2:]],
        [*pieces[:3], theirs[3]],
        [*pieces[:3], pieces[3][:-1]],
        [],
    ):
        await broken(shelf, address, head + b"".join(changed))
    # Nor the head of another one.
    await broken(shelf, address, other[:start] + b"".join(pieces))
    await shelf.rewrite(address, whole)
    assert await shelf.read(address) == body


@settings(deadline=None, max_examples=60)
@given(st.data())
async def test_any_flipped_bit_and_any_cut_is_found(data: st.DataObject) -> None:
    shelf = Shelf()
    address = await shelf.put(b"Zaphod" * 20)
    whole = await shelf.kept(address)
    place = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(bad), whole[:place], whole + b"more"):
        await broken(shelf, address, changed)


async def test_every_flipped_bit_of_what_comes_before_the_pieces_is_found() -> None:
    """Also in the length of the head, which says where it is cut from the rest."""
    shelf = Shelf()
    address = await shelf.put(b"Zaphod")
    whole = await shelf.kept(address)
    for place in range(len(MAGIC) + STREAM_BYTES + 4):
        for bit in range(8):
            await broken(shelf, address, whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])


async def test_moved_to_another_address_it_does_not_come_out() -> None:
    shelf = Shelf()
    one, two = await shelf.put(b"one"), await shelf.put(b"two")
    await broken(shelf, two, await shelf.kept(one))
    assert await shelf.read(one) == b"one"


async def test_each_namespace_has_its_own_and_takes_its_own_along() -> None:
    shelf = Shelf()
    body = WORD * 20_000
    address = await shelf.put(body)
    assert await shelf.put(body, "bolt") == address
    shelf.ring.gone.add(shelf.ring.ciphers["acme"].key_id)
    assert await shelf.read(address) == body, "what the other one put is still there"
    shelf.ring.gone.add(shelf.ring.ciphers["bolt"].key_id)
    with pytest.raises(PayloadErased):
        await shelf.read(address)
    # A namespace without a key keeps what it puts as it is, whatever the others erased.
    assert await shelf.put(body, "clear") == address
    assert await shelf.read(address) == body
    assert await shelf.store.open(content_address(b"never put")) is None


async def test_a_key_that_is_erased_in_the_middle_ends_it_there() -> None:
    shelf = Shelf()
    address = await shelf.put(os.urandom(8 * CHUNK_BYTES))
    content = await shelf.store.open(address)
    assert content is not None
    pieces = content.stream()
    await anext(pieces)
    shelf.ring.gone.add(shelf.ring.ciphers["acme"].key_id)
    with pytest.raises(PayloadErased):
        b"".join([piece async for piece in pieces])
    await content.close()


def test_the_form_is_told_from_the_plain_one() -> None:
    assert MAGIC != b"rco-content/1\n"
    assert len(MAGIC) == len(b"rco-content/1\n")


async def opened(ring: Ring, stream: bytes, data: bytes) -> bytes:
    """What the pieces alone say, without the digest behind them."""
    opening = Opening(ring, stream, "b3:0")
    pieces = await opening.add(data)
    return b"".join([*pieces, await opening.end()])


async def test_a_stream_that_was_cut_does_not_open_whatever_its_digest_is() -> None:
    ring, stream = Ring(), os.urandom(STREAM_BYTES)
    sealer = ring.sealer("acme")
    assert sealer is not None
    sealing = Sealing(sealer, stream)
    data = sealing.add(bytes(4 * CHUNK_BYTES)) + sealing.end()
    assert await opened(ring, stream, data) == bytes(4 * CHUNK_BYTES)
    for cut in (PIECE, 2 * PIECE, 3 * PIECE, 3 * PIECE + 1, len(data) - 1, 0):
        with pytest.raises(EvidenceBroken):
            await opened(ring, stream, data[:cut])
    with pytest.raises(EvidenceBroken):
        await opened(ring, stream, data + data[-PIECE:])
    with pytest.raises(EvidenceBroken):
        await opened(ring, os.urandom(STREAM_BYTES), data)


class Away:
    """Stands for a store that is away, and counts who asked it."""

    def __init__(self) -> None:
        self.asked = 0

    async def staged(self, key: str) -> StagedObject | None:
        self.asked += 1
        raise StoreError(f"{key} cannot be looked for.")

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        raise NotImplementedError

    async def unstage(self, moved: list[StagedObject]) -> None:
        raise NotImplementedError


async def test_what_is_where_objects_are_kept_is_read_without_the_store_whoever_put_it() -> None:
    shelf, away = Shelf(), Away()
    staging = StagedObjects(shelf.objects, away, SystemClock(), limit_bytes=1 << 20, trouble=lambda _: None)
    address = await shelf.put(b"of the second namespace", "bolt")
    shelf.store = ContentStore(staging, shelf.ring, staging)
    assert await shelf.read(address) == b"of the second namespace"
    assert away.asked == 0
    with pytest.raises(StoreError):
        await shelf.store.open(content_address(b"of nobody"))


async def test_ciphertext_is_staged_like_anything_else_and_erased_like_it() -> None:
    shelf = Shelf()
    staging = StagedObjects(shelf.objects, Away(), SystemClock(), limit_bytes=1 << 20, trouble=lambda _: None)
    shelf.store = ContentStore(staging, shelf.ring, staging)
    filling = shelf.store.begin(Meta(), "acme")
    await filling.write(WORD * 10)
    stored = await filling.finish(staging)
    assert stored.staged is not None
    assert WORD not in stored.staged.data
    staging.keep(stored.staged)
    assert await shelf.read(stored.address) == WORD * 10
    shelf.ring.gone.add(shelf.ring.ciphers["acme"].key_id)
    with pytest.raises((PayloadErased, StoreError)):
        await shelf.store.open(stored.address)
