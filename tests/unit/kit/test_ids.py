"""Identities: form, order, and what a caller may send."""

import re
import uuid

import pytest

from rco.kit.ids import Ids, id_bytes, id_text, well_formed_corr_id

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class StepClock:
    """Gives the times it was told, the last one for ever."""

    def __init__(self, *times_us: int) -> None:
        self.times_us = list(times_us)

    def now_us(self) -> int:
        return self.times_us.pop(0) if len(self.times_us) > 1 else self.times_us[0]

    def monotonic(self) -> float:
        return 0.0


AT_US = 1_795_257_415_338_692


def test_a_uuid7_has_its_time_version_and_variant() -> None:
    for raw in (Ids(StepClock(AT_US)).uuid7(), Ids(StepClock(AT_US), lambda n: b"\xff" * n).uuid7(), Ids().uuid7()):
        parsed = uuid.UUID(bytes=raw)
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
    assert int.from_bytes(Ids(StepClock(AT_US)).uuid7()[:6], "big") == AT_US // 1000


def test_the_fraction_of_a_millisecond_is_in_the_twelve_bits_after_the_version() -> None:
    raw = Ids(StepClock(AT_US)).uuid7()
    assert int.from_bytes(raw[6:8], "big") & 0xFFF == 692 * 4096 // 1000


def test_they_grow_when_the_clock_stands_or_goes_back() -> None:
    ids = Ids(StepClock(AT_US, AT_US, AT_US - 5_000_000, AT_US - 1, AT_US, AT_US + 1_000_000, AT_US))
    made = [ids.uuid7()[:8] for _ in range(500)]
    assert made == sorted(made)
    assert len(set(made)) == 500
    assert all(raw[6] >> 4 == 7 for raw in made)


def test_many_within_one_millisecond_run_over_into_the_next() -> None:
    ids = Ids(StepClock(AT_US))
    made = [ids.uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert all(uuid.UUID(bytes=raw).version == 7 for raw in made)


def test_the_shard_is_the_last_byte() -> None:
    ids = Ids()
    assert {ids.uuid7(shard)[15] for shard in (0, 1, 255)} == {0, 1, 255}
    with pytest.raises(ValueError, match="range"):
        ids.uuid7(256)


def test_same_clock_and_entropy_give_the_same_sequence() -> None:
    def sequence() -> list[bytes]:
        ids = Ids(StepClock(AT_US), lambda n: bytes(i % 251 for i in range(n)))
        return [ids.uuid7() for _ in range(700)]

    first = sequence()
    assert first == sequence()
    assert len({raw[8:] for raw in first}) == 251


def test_entropy_is_never_used_twice() -> None:
    given = iter(range(1, 1_000_000))
    ids = Ids(StepClock(AT_US), lambda n: b"".join(next(given).to_bytes(4, "big") for _ in range(n // 4)))
    made = [ids.token(32) for _ in range(1000)]
    words = [token[i : i + 8] for token in made for i in range(0, 64, 8)]
    assert len(set(words)) == len(words)


def test_a_token_has_its_length_in_lower_case_hexadecimal() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", Ids().token())
    assert re.fullmatch(r"[0-9a-f]{16}", Ids().token(8))


def test_a_ulid_is_its_time_and_eighty_random_bits() -> None:
    text = Ids(StepClock(AT_US), lambda n: b"\xff" * n).ulid()
    assert len(text) == 26
    number = 0
    for digit in text:
        number = number * 32 + CROCKFORD.index(digit)
    assert number == (AT_US // 1000 << 80) | ((1 << 80) - 1)
    assert well_formed_corr_id(text)
    early, late = Ids(StepClock(AT_US)).ulid(), Ids(StepClock(AT_US + 1000)).ulid()
    assert early < late


def test_text_and_bytes() -> None:
    raw = Ids().uuid7()
    assert id_bytes(id_text(raw)) == raw
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id_text(raw))
    with pytest.raises(ValueError, match="UUID"):
        id_bytes("not-an-id")


@pytest.mark.parametrize("text", ["abcdefgh", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a.b-c_d.9", "x" * 64])
def test_a_callers_correlation_id_that_is_taken(text: str) -> None:
    assert well_formed_corr_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "x" * 65,
        "-abcdefgh",
        "abcdefg\n",
        "abcdefgh\n",
        "abc defgh",
        "abcdefg\u0660",
        '"><script>',
        "a/../../b",
    ],
)
def test_a_callers_correlation_id_that_is_replaced(text: str) -> None:
    assert not well_formed_corr_id(text)
