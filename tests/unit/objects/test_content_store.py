"""Content by its address: whatever is changed of what is kept is found, and no more is in memory than is said."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.errors import EvidenceBroken
from rco.kit.clock import SystemClock
from rco.kit.digest import content_address
from rco.objects.content import ContentStore, Meta, key_of
from rco.objects.contract import CHUNK_BYTES, Found, Rest
from rco.objects.contract import read as stored
from rco.objects.memory import MemoryObjects

LIMIT = 1 << 24


async def kept(data: bytes, step: int = 1000) -> tuple[MemoryObjects, ContentStore, str]:
    objects = MemoryObjects(SystemClock(), LIMIT)
    store = ContentStore(objects)
    filling = store.begin(Meta(type="text/plain"))
    for at in range(0, len(data), step):
        await filling.write(data[at : at + step])
    stored = await filling.finish()
    assert stored.address == content_address(data)
    return objects, store, stored.address


async def read(store: ContentStore, address: str, first: int = 0, last: int | None = None) -> bytes:
    content = await store.open(address)
    assert content is not None
    return b"".join([piece async for piece in content.stream(first, last)])


async def rewrite(objects: MemoryObjects, address: str, data: bytes) -> None:
    intake = await objects.begin()
    await intake.write(data)
    await intake.commit(key_of(address))


@settings(deadline=None)
@given(st.integers(0, 3 * CHUNK_BYTES), st.data())
async def test_any_part_is_that_part(size: int, data: st.DataObject) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    _, store, address = await kept(body, step=data.draw(st.integers(500, 200_000)))
    first = data.draw(st.integers(0, size))
    last = data.draw(st.integers(first, size + 5))
    assert await read(store, address, first, last) == body[first : last + 1]
    assert await read(store, address) == body


@settings(deadline=None)
@given(st.binary(max_size=300), st.data())
async def test_any_flipped_bit_and_any_cut_is_found(body: bytes, data: st.DataObject) -> None:
    objects, store, address = await kept(body)
    whole = b"".join([piece async for piece in stored(objects, key_of(address))])
    place = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = whole[:place]
    for changed in (bytes(bad), cut, whole + b"more"):
        await rewrite(objects, address, changed)
        try:
            found = await read(store, address)
        except EvidenceBroken:
            continue
        # What somebody said of it is not covered by the address; the content is.
        assert found == body
        assert changed == bytes(bad)
        assert 18 <= place < len(whole) - len(body)


async def test_what_came_before_a_broken_end_never_has_the_end() -> None:
    body = bytes(5 * CHUNK_BYTES)
    objects, store, address = await kept(body, step=CHUNK_BYTES)
    whole = b"".join([piece async for piece in stored(objects, key_of(address))])
    await rewrite(objects, address, whole[:-1] + b"\1")
    content = await store.open(address)
    assert content is not None
    got = [0]

    async def take() -> None:
        async for piece in content.stream():
            got[0] += len(piece)

    with pytest.raises(EvidenceBroken):
        await take()
    assert 0 < got[0] < len(body)


class Counting(MemoryObjects):
    """Counts pieces that were read, and hands nothing out ahead."""

    read_pieces = 0

    async def open(self, key: str) -> Found | None:
        found = await super().open(key)
        assert found is not None
        assert found.rest is not None
        self.read_pieces += 1
        found.rest = self._counted(found.rest)
        return found

    async def _counted(self, rest: Rest) -> AsyncGenerator[bytes]:
        async for piece in rest:
            self.read_pieces += 1
            yield piece


async def test_at_most_two_pieces_are_in_memory_on_the_way_out() -> None:
    objects = Counting(SystemClock(), LIMIT)
    store = ContentStore(objects)
    filling = store.begin(Meta())
    for _ in range(20):
        await filling.write(bytes(CHUNK_BYTES))
    address = (await filling.finish()).address
    content = await store.open(address)
    assert content is not None
    given_out = 0
    async for _ in content.stream():
        given_out += 1
        assert objects.read_pieces - given_out <= 1
    assert given_out == 21
