"""Forms: the pairs that every reader sees, or nothing."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.bridge.forms import PAIRS_CAP, decode_form, form_data, is_form

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20))
def test_what_a_browser_writes_is_read_whole(pairs: list[tuple[str, str]]) -> None:
    assert decode_form(urlencode(pairs).encode()) == pairs


@settings(deadline=None)
@given(body=st.text("aB=&+%20é2f", max_size=40).map(str.encode) | st.binary(max_size=40))
def test_another_reader_sees_the_same_or_it_is_refused(body: bytes) -> None:
    try:
        pairs = decode_form(body)
    except ValueError:
        return
    # The standard library drops empty pairs; they mean nothing to either.
    other = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    assert [pair for pair in pairs if pair != ("", "")] == [pair for pair in other if pair != ("", "")]


@pytest.mark.parametrize("body", [b"a=%", b"a=%4", b"a=%zz", b"%u0041=b", b"a=%ff", b"a=\xff", b"a=%00", b"a\0=b"])
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="the form"):
        decode_form(body)


def test_so_many_pairs_and_no_more() -> None:
    assert len(decode_form(b"&".join([b"a=b"] * PAIRS_CAP))) == PAIRS_CAP
    with pytest.raises(ValueError, match="too many"):
        decode_form(b"&".join([b"a=b"] * (PAIRS_CAP + 1)))


def test_names_that_repeat_are_lists() -> None:
    assert form_data(decode_form(b"a=1&b=2&a=3&a=&c")) == {"a": ["1", "3", ""], "b": "2", "c": ""}


@pytest.mark.parametrize(
    ("media", "form"),
    [
        (b"application/x-www-form-urlencoded", True),
        (b"Application/X-WWW-Form-urlencoded; charset=utf-8", True),
        (b"application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_what_announces_a_form(media: bytes | None, form: bool) -> None:
    assert is_form(media) is form
