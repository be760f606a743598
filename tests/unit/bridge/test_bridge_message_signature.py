"""RFC 9421: the published bases and signatures, and structured fields that are none."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.bridge.message_signature import Place, base_of, check_with, open_key
from rco.bridge.structured import parse_byte_dictionary, parse_inner_lists

PLACE = Place("https://example.com/foo?param=Value&Pet=dog")
HEADERS = {
    "date": [b"Tue, 20 Apr 2021 02:07:55 GMT"],
    "content-type": [b"application/json"],
    "content-length": [b"18"],
}
SHARED = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
ED25519 = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
P256 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDX"
    "ZCnTNnoXQ=="
)
B25 = (
    'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
)
B26 = (
    (
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473'
        ';keyid="test-key-ed25519"'
    ),
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
)
TTRP = (
    'ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"',
    "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:",
)


@pytest.mark.parametrize(
    ("label", "pair", "algorithm", "key"),
    [("sig-b25", B25, "hmac-sha256", SHARED), ("sig-b26", B26, "ed25519", ED25519)],
)
def test_what_the_rfc_publishes(label: str, pair: tuple[str, str], algorithm: str, key: str) -> None:
    covered = parse_inner_lists(pair[0].encode())[label]
    signature = parse_byte_dictionary(pair[1].encode())[label]
    base = base_of(PLACE, HEADERS, covered)
    check = check_with(algorithm, open_key(algorithm, key.encode()))
    check(signature, base)
    for at in range(len(base)):
        with pytest.raises(InvalidSignature):
            check(signature, base[:at] + bytes((base[at] ^ 1,)) + base[at + 1 :])


def test_ecdsa_is_two_numbers_and_not_der() -> None:
    covered = parse_inner_lists(TTRP[0].encode())["ttrp"]
    signature = parse_byte_dictionary(TTRP[1].encode())["ttrp"]
    base = base_of(PLACE, {"client-cert": [b":x:"]}, covered)
    check = check_with("ecdsa-p256-sha256", open_key("ecdsa-p256-sha256", P256.encode()))
    for broken in (signature, signature[:-1], signature + b"\0", b"", b"0E" + signature):
        with pytest.raises(InvalidSignature):
            check(broken, base)


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [("ed25519", P256), ("ecdsa-p256-sha256", ED25519), ("ecdsa-p384-sha384", P256), ("rsa-pss-sha512", P256)],
)
def test_a_key_of_another_kind(algorithm: str, text: str) -> None:
    with pytest.raises(ValueError, match="it is not"):
        open_key(algorithm, text.encode())


def test_a_shared_key_that_is_too_short() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        open_key("hmac-sha256", base64.b64encode(bytes(15)))


@pytest.mark.parametrize(
    ("url", "component", "value"),
    [
        ("https://Example.COM:443/a?b", "@authority", "example.com"),
        ("http://example.com:443/", "@authority", "example.com:443"),
        ("https://example.com", "@path", "/"),
        ("https://example.com", "@query", "?"),
        ("https://example.com", "@target-uri", "https://example.com/"),
        ("https://example.com/a?b=c", "@request-target", "/a?b=c"),
        ("https://example.com/a?var=this%20is%20a%20big%0Amultiline%20value", "@query-param;name=var",
         "this%20is%20a%20big%0Amultiline%20value"),
        ("https://example.com/a?bar=with+plus+whitespace", "@query-param;name=bar", "with%20plus%20whitespace"),
    ],
)  # fmt: skip
def test_derived_components(url: str, component: str, value: str) -> None:
    name, _, parameter = component.partition(";name=")
    text = f'x=("{name}"' + (f';name="{parameter}"' if parameter else "") + ")"
    item = parse_inner_lists(text.encode())["x"].items[0]
    assert Place(url).value(item) == value


@pytest.mark.parametrize("url", ["ftp://a", "https://", "https://a@b", "https://a/#b", "https://a/ b", "https://é/"])
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Place(url)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "x=", "x=(", 'x=("a', 'x=("a"', 'x=("a""b")', "x=(a)", 'x=("a");', 'x=("a");A=1', 'x=("a");b=1;b=2',
        'x=("a"),', 'x=("a"),x=("b")', 'x=("a") y', 'x=("\\a")', 'x=("é")', "x=:AA==:", 'x=("a");b=?2',
        'x=("a");b=1234567890123456', ",".join(f'k{n}=("a")' for n in range(9)),
    ],
)  # fmt: skip
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_inner_lists(text.encode())


@pytest.mark.parametrize("text", ["x=::y", "x=:A:", "x=:AB==:", "x=:AA:", "x=AA==", "x=:AA==:,x=:AA==:", "x=:AA==: "])
def test_what_is_no_byte_sequence(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_byte_dictionary(text.encode())


@settings(deadline=None)
@given(raw=st.binary(max_size=60) | st.text('abAB01"\\():;=?,* -_', max_size=60).map(str.encode))
def test_junk_gives_nothing_but_a_value_error(raw: bytes) -> None:
    parse: Any
    for parse in (parse_inner_lists, parse_byte_dictionary):
        try:
            parse(raw)
        except ValueError:
            continue
