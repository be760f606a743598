"""Whatever comes in at the doors is taken apart, or refused in the one way that there is; nothing else is raised.

Headers, bodies and tokens of strangers go through these before anything is known of them. ``make fuzz`` tries longer.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.bridge.conftest import load_cases, make

from rco.bridge.contract import Answered, Errand, Handshake
from rco.bridge.decode import decode_json, decode_object
from rco.bridge.decompression import coding_of, expander
from rco.bridge.forms import decode_form, form_data, is_form, media_type
from rco.bridge.public_keys import decode_signature
from rco.bridge.signature import check_id, parse_timestamp_s, uuid_text, well_formed
from rco.bridge.structured import parse_byte_dictionary, parse_inner_lists
from rco.capability.token import parse
from rco.egress.retry_after import retry_after_s
from rco.errors import Refused
from rco.model.delivery import Delivery
from rco.model.path import PathPattern, PathRefused, path_segments
from rco.server.byte_range import Unsatisfiable, asked_range, matches
from rco.server.caller import CallerOf
from rco.server.framing import read_head
from rco.telemetry.trace import parse_traceparent

MANY = settings(
    max_examples=int(os.environ.get("RCO_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SIGNS = [
    b",",
    b";",
    b"=",
    b":",
    b'"',
    b"(",
    b")",
    b" ",
    b"\t",
    b"\x00",
    b"\r\n",
    b"%",
    b"%ff",
    b"*",
    b"W/",
    b"\xe2\x82\xac",
]
NUMBERS = [b"-1", b"1e9", b"nan", b"inf", b"0x5", b"99999999999999999999", b"0-", b"-0", b"AAAA"]
WORDS = [
    b"t=",
    b"v1=",
    b"v1,",
    b"@method",
    b"sha256=",
    b"b3:",
    b"bytes=",
    b"gzip",
    b"br",
    b"zstd",
    b"identity",
    b"chunked",
]
VALUES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=40).map(lambda text: text.encode()),
    st.lists(
        st.sampled_from([*SIGNS, *NUMBERS, *WORDS]),
        max_size=12,
    ).map(b"".join),
)
NAMES = st.sampled_from(
    [
        *(b"content-length", b"content-type", b"content-encoding", b"transfer-encoding", b"host", b"expect"),
        *(b"x-corr-id", b"authorization", b"connection", b"traceparent", b"x-forwarded-for", b"x"),
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def refuses(work: Any, *others: type[BaseException]) -> Any:
    """What ``work`` gives; ``None`` where it refuses in the way it says."""
    with suppress(Refused, *others):
        return work()
    return None


# -- headers -----------------------------------------------------------------------------------------------------------


@MANY
@given(HEADERS)
def test_a_head_is_read_or_has_a_fault(headers: list[tuple[bytes, bytes]]) -> None:
    head = read_head(headers)
    assert head.fault is None or isinstance(head.fault, Refused)
    assert head.length >= -1


@MANY
@given(VALUES)
def test_structured_fields(raw: bytes) -> None:
    refuses(lambda: parse_inner_lists(raw), ValueError)
    refuses(lambda: parse_byte_dictionary(raw), ValueError)


@MANY
@given(VALUES, st.integers(0, 1 << 40))
def test_ranges_and_tags(raw: bytes, size_bytes: int) -> None:
    text = raw.decode("latin-1")
    found = refuses(lambda: asked_range(text, size_bytes), Unsatisfiable)
    if found is not None:
        assert 0 <= found[0] <= found[1] < size_bytes
    matches(text, '"b3:0"')


@MANY
@given(VALUES)
def test_small_texts_of_headers(raw: bytes) -> None:
    text = raw.decode("latin-1")
    told = refuses(lambda: parse_timestamp_s(raw, 401))
    assert told is None or isinstance(told, int)
    refuses(lambda: check_id(raw, b".", 401))
    uuid_text(raw)
    well_formed(raw, 32, True)
    decode_signature(raw, True)
    media_type(raw)
    is_form(raw)
    refuses(lambda: coding_of(raw))
    parse_traceparent(text)
    refuses(lambda: parse(text))


@MANY
@given(st.lists(VALUES.map(lambda raw: raw.decode("latin-1")), max_size=3), st.integers(0, 1 << 60))
def test_retry_after_is_seconds_or_nothing(values: list[str], now_us: int) -> None:
    told = retry_after_s(values, now_us)
    assert told is None or 0 <= told < 1e9


@MANY
@given(HEADERS, st.sampled_from(["127.0.0.1", "::1", "", "unix", "203.0.113.9"]))
def test_a_caller_is_named_whatever_it_says(headers: list[tuple[bytes, bytes]], peer: str) -> None:
    caller = CallerOf(["127.0.0.0/8", "::1/128"])
    assert isinstance(caller({"client": (peer, 1), "headers": headers}), str)


# -- bodies ------------------------------------------------------------------------------------------------------------


@MANY
@given(st.one_of(VALUES, st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"1e400")
@example(b'"\\ud800"')
@example(b"9" * 5000)
def test_bodies(body: bytes) -> None:
    refuses(lambda: decode_json(body))
    refuses(lambda: decode_object(body))
    pairs = refuses(lambda: decode_form(body), ValueError)
    if pairs is not None:
        refuses(lambda: form_data(pairs))


@MANY
@given(st.sampled_from([b"gzip", b"deflate", b"br", b"zstd"]), st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_expanded_is_bounded(name: bytes, wire: bytes, plain: bytes) -> None:
    coding = coding_of(name)
    assert coding is not None
    for body in (wire, plain):
        told = refuses(partial(expander(coding, limit_bytes=4096), body))
        assert told is None or len(told) <= 4096


@MANY
@given(st.text(max_size=60), st.text(max_size=40))
def test_paths(path: str, rule: str) -> None:
    segments = refuses(lambda: path_segments(path), PathRefused)
    pattern = refuses(lambda: PathPattern.compile(rule), ValueError)
    if segments is not None and pattern is not None:
        assert pattern.matches(segments) in (True, False)


# -- whole requests to each kind of provider ---------------------------------------------------------------------------

CASES = [case for case in load_cases() if case["good"]]


@pytest.mark.parametrize("case", CASES, ids=[case["settings"]["name"] for case in CASES])
def test_a_changed_request_is_verified_or_refused(case: dict[str, Any]) -> None:
    """A good request with headers left out, doubled, changed or made up, and another body."""
    verifier, now_us = make(case), case["now_us"]
    vectors = [vector for vector in case["good"] if "body" in vector]
    if not vectors:
        pytest.skip("no vector of this kind has its body in it")

    @MANY
    @given(data=st.data())
    def tries(data: st.DataObject) -> None:
        vector = data.draw(st.sampled_from(vectors))
        headers = [(name.encode(), value.encode()) for name, value in vector["headers"]]
        body = vector["body"].encode()
        for _ in range(data.draw(st.integers(0, 3))):
            match data.draw(st.sampled_from(["drop", "double", "value", "splice", "body", "time"])):
                case "drop" if headers:
                    headers.pop(data.draw(st.integers(0, len(headers) - 1)))
                case "double" if headers:
                    headers.append(data.draw(st.sampled_from(headers)))
                case "value" if headers:
                    at = data.draw(st.integers(0, len(headers) - 1))
                    headers[at] = (headers[at][0], data.draw(VALUES))
                case "splice" if headers:
                    at = data.draw(st.integers(0, len(headers) - 1))
                    name, value = headers[at]
                    cut = data.draw(st.integers(0, len(value)))
                    headers[at] = (name, value[:cut] + data.draw(VALUES) + value[cut:])
                case "body":
                    cut = data.draw(st.integers(0, len(body)))
                    body = body[:cut] + data.draw(VALUES) + body[cut:]
                case _:
                    pass
        with suppress(Refused):
            found = verifier.verify(headers, body, now_us, "corr")
            assert isinstance(found, (Delivery, Answered, Errand, Handshake)), found

    tries()
