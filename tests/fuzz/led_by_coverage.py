"""``make fuzz-coverage``: atheris leads what is tried by the code that it reaches. Not part of any check: atheris is
installed for it alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import atheris

with atheris.instrument_imports(include=["rco"]):
    from rco.bridge.decode import decode_json
    from rco.bridge.decompression import coding_of, expander
    from rco.bridge.forms import decode_form, form_data
    from rco.bridge.signature import parse_timestamp_s
    from rco.bridge.structured import parse_byte_dictionary, parse_inner_lists
    from rco.capability.token import parse
    from rco.egress.retry_after import retry_after_s
    from rco.errors import Refused
    from rco.model.path import path_segments
    from rco.server.byte_range import Unsatisfiable, asked_range
    from rco.server.framing import read_head
    from rco.telemetry.trace import parse_traceparent


def _head(raw: bytes) -> None:
    parts = raw.split(b"\n")
    read_head([(name, value) for name, _, value in (part.partition(b":") for part in parts)])


def _expanded(raw: bytes) -> None:
    coding = coding_of((b"gzip", b"deflate", b"br", b"zstd")[raw[0] % 4] if raw else b"gzip")
    assert coding is not None
    assert len(expander(coding, limit_bytes=4096)(raw[1:])) <= 4096


DOORS: list[tuple[Callable[[bytes], Any], tuple[type[Exception], ...]]] = [
    (_head, ()),
    (_expanded, (Refused,)),
    (decode_json, (Refused,)),
    (lambda raw: form_data(decode_form(raw)), (ValueError,)),
    (lambda raw: parse_timestamp_s(raw, 401), (Refused,)),
    (parse_byte_dictionary, (ValueError,)),
    (parse_inner_lists, (ValueError,)),
    (lambda raw: parse(raw.decode("latin-1")), (Refused,)),
    (lambda raw: retry_after_s([raw.decode("latin-1")], 1), ()),
    (lambda raw: path_segments(raw.decode("latin-1")), (ValueError,)),
    (lambda raw: asked_range(raw.decode("latin-1"), 1000), (Unsatisfiable,)),
    (lambda raw: parse_traceparent(raw.decode("latin-1")), ()),
]


def one(data: bytes) -> None:
    """The first byte says which door."""
    if not data:
        return
    door, refusals = DOORS[data[0] % len(DOORS)]
    try:
        door(data[1:])
    except refusals:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
