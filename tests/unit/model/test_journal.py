"""Records and segments."""

import msgspec
import pytest

from rco.model.journal import Kind, Record, decode_segment, encode_record

RECORDS = [
    Record(Kind.START, "", 1, b"", {"workflow": "fulfil", "input": {"n": 1, "raw": b"\x00\xff"}}),
    Record(Kind.STEP_END, "charge#1", 2, b"f" * 8, [True, None, 1]),
    Record(Kind.TIMER_FIRED, "sleep#1", 3),
    Record(Kind.CLOSE, "", 1 << 52, b"", ["completed", {"text": "\u20ac \U0001f600"}]),
]


def test_what_is_written_is_read() -> None:
    assert decode_segment(b"".join(map(encode_record, RECORDS))) == RECORDS
    assert decode_segment(b"") == []


def test_a_record_stands_behind_its_length() -> None:
    framed = encode_record(RECORDS[1])
    assert int.from_bytes(framed[:4], "big") == len(framed) - 4
    assert msgspec.msgpack.decode(framed[4:]) == [3, "charge#1", 2, b"f" * 8, [True, None, 1]]


def test_every_cut_within_a_record_is_noticed() -> None:
    data = b"".join(map(encode_record, RECORDS))
    whole = {0, len(data)}
    for record in RECORDS:
        whole.add(max(whole - {len(data)}) + len(encode_record(record)))
    for stop in set(range(len(data))) - whole:
        with pytest.raises(ValueError, match=f"of {stop}"):
            decode_segment(data[:stop])


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_record(Record(Kind.STATE, "x", 1, b"", object()))


def test_numbers_of_kinds_are_never_used_again() -> None:
    """A journal on disk holds these numbers. New ones may be added below, none may change."""
    assert {kind.name: kind.value for kind in Kind} == {
        "START": 1,
        "STEP_INTENT": 2,
        "STEP_END": 3,
        "STEP_RETRY": 4,
        "TIMER_SET": 5,
        "TIMER_FIRED": 6,
        "WAIT": 7,
        "MESSAGE": 8,
        "CHILD": 9,
        "EMIT": 10,
        "STATE": 11,
        "CANCEL": 12,
        "COMPENSATE": 13,
        "IN_DOUBT": 14,
        "SETTLED": 15,
        "OWNER": 16,
        "CLOSE": 17,
        "PAUSE": 18,
        "RESUME": 19,
        "PATCH": 20,
        "BEGIN": 21,
        "VERSION": 22,
        "ATTRIBUTE": 23,
    }
