"""Strict JSON: one text, one meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rco.bridge.decode import DEPTH_LIMIT, decode_object
from rco.errors import Reason, Refused

DEEP = DEPTH_LIMIT - 1


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "json_invalid"),
        (b"   ", "json_invalid"),
        (b"{", "json_invalid"),
        (b"{} {}", "json_invalid"),
        (b"{}x", "json_invalid"),
        (b'{"a":1,}', "json_invalid"),
        (b"{'a':1}", "json_invalid"),
        (b'{"a":NaN}', "json_invalid"),
        (b'{"a":Infinity}', "json_invalid"),
        (b'{"a":-Infinity}', "json_invalid"),
        (b'{"a":01}', "json_invalid"),
        (b'{"a":"\x00"}', "json_invalid"),
        (b'{"a":"\n"}', "json_invalid"),
        (b'{"a":"\\ud800"}', "json_invalid"),
        (b'{"a":"\\udc00"}', "json_invalid"),
        (b'{"a":"\\ud800\\u0041"}', "json_invalid"),
        (b"\xef\xbb\xbf{}", "json_invalid"),
        ('{"a":1}'.encode("utf-16"), "json_invalid"),
        ('{"a":1}'.encode("utf-16-le"), "json_invalid"),
        (b'{"a":"\xff"}', "json_encoding"),
        (b'{"a":"\xed\xa0\x80"}', "json_encoding"),
        (b'{"\xc0\x80":1}', "json_encoding"),
        (b"[]", "json_not_object"),
        (b"null", "json_not_object"),
        (b'"text"', "json_not_object"),
        (b"1", "json_not_object"),
        (b'{"a":1e400}', "json_number"),
        (b'{"a":' + b"9" * 5000 + b"}", "json_number"),
        (b'{"a":18446744073709551616}', "json_number"),
        (b'{"a":[{"b":-9223372036854775809}]}', "json_number"),
        (b'{"a":' + b"[" * 100_000, "json_depth"),
        (b'{"a":' * 100_000, "json_depth"),
        (b'{"a":' + b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b"}", "json_depth"),
        (b'{"a":' * (DEPTH_LIMIT + 1) + b"1" + b"}" * (DEPTH_LIMIT + 1), "json_depth"),
        (b'{"a":"\\u0000"}', "json_nul"),
        (b'{"\\u0000":1}', "json_nul"),
        (b'{"a":[{"b":"x\\u0000"}]}', "json_nul"),
        (b'{"a":"\\\\\\u0000"}', "json_nul"),
        (b'{"a":1,"a":2}', "json_duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "json_duplicate_key"),
        (b'{"b":[{"a":1,"c":"x:y","a" : 1}]}', "json_duplicate_key"),
        (b'{"a" :1, "a":"\\":"}', "json_duplicate_key"),
        (b'{"a"\t:1,"a"\n:2}', "json_duplicate_key"),
    ],
)
def test_refused(body: bytes, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_object(body)
    assert (caught.value.reason, caught.value.detail) == (Reason.MALFORMED, detail)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a" : 1 } \n',
        b'{"a":"\\":","b":"\\\\","c":"\\\\\\":"}',
        b'{"a":"{\\"a\\":1}","b":":::","c":{"a":"a:b"}}',
        b'{"a":18446744073709551615,"b":-9223372036854775808}',
        b'{"a":"\\\\u0000"}',
        b'{"a":"\\ud83d\\ude00"}',
        '{"ключ":"значение: да"}'.encode(),
        b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"a":"' + b"[" * 1000 + b'"}',
        b'{"a":[' + b"[]," * 1000 + b"[]]}",
        b'{"a":1e308,"b":1e-400}',
    ],
)
def test_accepted_as_the_standard_library_reads_it(body: bytes) -> None:
    assert decode_object(body) == json.loads(body)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=6), PLAIN, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_every_object_without_nul_is_read_whole(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        with pytest.raises(Refused):
            decode_object(body)
    else:
        assert decode_object(body) == value


def outcome(body: bytes) -> Any:
    try:
        return decode_object(body)
    except Refused as refused:
        return refused.reason


@given(st.binary(max_size=200) | st.text('{}[]":,\\u0d8a1e+-.ntf \n', max_size=60).map(str.encode))
def test_never_anything_but_an_object_or_a_refusal(body: bytes) -> None:
    found = outcome(body)
    assert found is Reason.MALFORMED or found == json.loads(body)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", '"x:y"', '"\\":"', '{"a" : 1}'])), max_size=5))
def test_a_repeated_key_never_passes(pairs: list[tuple[str, str]]) -> None:
    body = ("{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}").encode()
    repeated = len({key for key, _ in pairs}) != len(pairs)
    assert (outcome(body) is Reason.MALFORMED) is repeated
