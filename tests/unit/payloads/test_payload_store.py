"""Payloads as objects: what comes out is what was put in, or an error that says why not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from rco.errors import EvidenceBroken, ObjectsAway
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.journal import Kind, Record, decode_segment, encode_body, encode_record
from rco.model.payload import Reference, as_value, loaded, plain, references, stored_form
from rco.objects.contract import Seen
from rco.objects.folder import FolderObjects
from rco.objects.memory import MemoryObjects
from rco.payloads.keeping import PayloadStore, key_of, name_of, prefix_of
from rco.payloads.segments import packed_value, references_of, with_payloads

SPACE = "00112233445566ff"
_pack = msgspec.msgpack.Encoder().encode


@pytest.fixture
async def folder(tmp_path: Path) -> FolderObjects:
    clock = SystemClock()
    objects = FolderObjects(tmp_path / "objects", Ids(clock))
    await objects.start()
    return objects


def store(objects: object, **more: object) -> PayloadStore:
    known = {"over_bytes": 1024, "timeout_s": 5.0}
    return PayloadStore(objects, SPACE, Ids(), **(known | more))  # type: ignore[arg-type]


async def test_what_is_kept_comes_out(folder: FolderObjects) -> None:
    payloads = store(folder)
    for size in (0, 1, 65_536, 300_000):
        data = os.urandom(size)
        reference = await payloads.keep("default", data)
        assert reference.size_bytes == size
        assert await payloads.fetch(reference) == data
    first, second = await payloads.keep("default", b"same"), await payloads.keep("default", b"same")
    assert first.name != second.name, "each is an object of its own"
    assert name_of(key_of(SPACE, first.name)) == first.name
    assert key_of(SPACE, first.name).startswith(prefix_of(SPACE))


@pytest.mark.parametrize("change", ["flip", "cut", "longer", "gone", "other"])
async def test_what_was_changed_is_found(folder: FolderObjects, tmp_path: Path, change: str) -> None:
    payloads = store(folder)
    reference, other = await payloads.keep("default", os.urandom(5000)), await payloads.keep("default", b"x" * 5000)
    path = tmp_path / "objects" / key_of(SPACE, reference.name)
    data = path.read_bytes()
    match change:
        case "flip":
            path.write_bytes(data[:100] + bytes((data[100] ^ 1,)) + data[101:])
        case "cut":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + bytes(10_000))
        case "gone":
            path.unlink()
        case _:
            path.write_bytes((tmp_path / "objects" / key_of(SPACE, other.name)).read_bytes())
    with pytest.raises(EvidenceBroken):
        await payloads.fetch(reference)


async def test_an_object_store_that_hangs_or_fails_is_away() -> None:
    class Hanging(MemoryObjects):
        async def put(self, key: str, data: bytes) -> None:
            await asyncio.Event().wait()

        async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
            return []

    with pytest.raises(ObjectsAway, match="not taken within"):
        await store(Hanging(SystemClock(), 1 << 20), timeout_s=0.05).keep("default", b"x" * 2000)
    full = MemoryObjects(SystemClock(), 1000)
    with pytest.raises(ObjectsAway):
        await store(full).keep("default", b"x" * 2000)
    # Nothing is left of what was not taken.
    assert await full.listed("", "", 10) == []


def test_a_value_is_met_and_its_reference_is_written() -> None:
    big, event = {"rows": ["x" * 100] * 50}, b'{"n": 1.5, "deep": [null, true]}'
    one = Reference(os.urandom(16), os.urandom(32), 5050)
    two = Reference(os.urandom(16), os.urandom(32), len(event), json=True)
    record = Record(Kind.MESSAGE, "go", 7, b"fp", ["m", "go", None])
    first = encode_record(Record(Kind.START, "", 1, b"", {"input": {"id": "e", "data": as_value(two)}, "name": "n"}))
    packed = encode_body(record, ["m", "go", [as_value(one), "beside"]])
    segment = first + len(packed).to_bytes(4, "big") + packed
    assert references_of(segment) == [two, one]
    assert references_of(encode_record(record)) == []
    values = {one.name: packed_value(one, _pack(big)), two.name: packed_value(two, event)}
    whole = with_payloads(segment, values)
    start, message = decode_segment(whole)
    assert start.body == {"input": {"id": "e", "data": {"n": 1.5, "deep": [None, True]}}, "name": "n"}
    assert message.body == ["m", "go", [big, "beside"]]
    # Written again they are what they were, and need nothing of the object store.
    again = b"".join(map(encode_record, decode_segment(whole, stored=True)))
    assert again == segment
    body = _pack({"outcome": "completed", "value": as_value(one)})
    full = loaded(body, values)
    assert plain(full) == {"outcome": "completed", "value": big}
    assert plain(body)["value"] == one
    assert _pack(stored_form(full)) == body
    assert references(full) == [one]


@pytest.mark.parametrize("data", [b'{"n": 123456789012345678901234567890}', b"no json", b"\xff\xfe", b""])
def test_event_data_of_any_form_are_seen_as_waiters_see_them(data: bytes) -> None:
    from rco.store.event_message import event_body

    seen = msgspec.msgpack.decode(event_body("i", "s", "t", None, 0, data))["data"] if data[:1] != b"\xff" else None
    reference = Reference(bytes(16), bytes(32), len(data), json=True)
    value = msgspec.msgpack.decode(packed_value(reference, data))
    assert value == (seen if data[:1] != b"\xff" else data.decode("utf-8", "replace"))
