"""Digests and canonical JSON by published vectors."""

import struct

import pytest

from rco.kit.canonical import FINGERPRINT_BYTES, canonical_json, fingerprint
from rco.kit.digest import content_address, digest, keyed_digest, length_prefixed

# RFC 8785, appendix B: the bits of a number and its text.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize("bits", NUMBERS)
def test_numbers_are_written_as_rfc_8785_says(bits: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number).decode() == NUMBERS[bits]


def test_keys_are_sorted_as_rfc_8785_says() -> None:
    """Section 3.2.3: by UTF-16 code units, which is not the order of UTF-8."""
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    expected = ['"\\r":2', '"1":4', '"\x80":6', '"\u00f6":7', '"\u20ac":1', '"\U0001f600":5', '"\ufb33":3']
    assert canonical_json(value).decode() == "{" + ",".join(expected) + "}"


def test_the_example_of_rfc_8785() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical_json(value).decode() == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1, float("-inf")]}, "\ud800", {"\udfff": 1}])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json(value)


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {1: 2.5}}, {None: 1}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_large_integer_keeps_its_digits() -> None:
    assert canonical_json([2**53 + 1, -(2**80)]) == b"[9007199254740993,-1208925819614629174706176]"


def test_blake3() -> None:
    # From test_vectors.json of the BLAKE3 team: the empty input, plain and keyed.
    assert digest(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    keyed = keyed_digest(b"whats the Elvish word for friend", b"")
    assert keyed.hex().startswith("92b2b75604ed3c76")
    assert content_address(b"") == "b3:" + digest(b"").hex()


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 33])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="32"):
        keyed_digest(key, b"")


def test_length_prefixes_leave_no_doubt() -> None:
    assert length_prefixed(b"ab", b"c") == b"\x00\x00\x00\x02ab\x00\x00\x00\x01c"
    assert (
        len(
            {
                length_prefixed(*parts)
                for parts in [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc")]
            }
        )
        == 5
    )


def test_a_fingerprint_tells_kinds_and_arguments_apart() -> None:
    assert len(fingerprint("step", [1])) == FINGERPRINT_BYTES
    assert fingerprint("step", {"a": 1, "b": 2}) == fingerprint("step", {"b": 2, "a": 1})
    different = [
        ("step", [1]),
        ("call", [1]),
        ("step", [2]),
        ("step", [1.0]),
        ("step", ["1"]),
        ("step", [True]),
        ("step", [b"1"]),
    ]
    assert len({fingerprint(kind, arguments) for kind, arguments in different}) == len(different)
    with pytest.raises(TypeError):
        fingerprint("step", object())
