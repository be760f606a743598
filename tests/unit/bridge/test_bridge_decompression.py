"""Compressed bodies: what is honest comes out whole, what is not is refused before it grows."""

from __future__ import annotations

import gzip
import json
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.bridge.brotli_head import read_brotli_head
from rco.bridge.decompression import CODINGS, RATIO_FLOOR_BYTES, coding_of, expander
from rco.errors import Reason, Refused

LIMIT = 1 << 20
BOMB_BYTES = 64 << 20
CPU_CAP_S = 0.010
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda plain: gzip.compress(plain, mtime=0),
    "deflate": zlib.compress,
    "br": lambda plain: brotli.compress(plain, quality=4),
    "zstd": zstd.compress,
}
# What the library's best quality makes of 64 MiB of zeros; it takes seconds to.
TINY_BOMB = bytes.fromhex(
    "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500"
    "baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffe3ffff1ffc130071"
    "5800a07bff37"
)
CODING = pytest.mark.parametrize("name", PACK)


def expand(name: str, wire: bytes, *, limit_bytes: int = LIMIT, max_ratio: float = 100.0) -> bytes:
    coding = coding_of(name.encode())
    assert coding is not None
    return expander(coding, limit_bytes=limit_bytes, max_ratio=max_ratio)(wire)


def refused(name: str, wire: bytes, **caps: float) -> tuple[Reason, str]:
    with pytest.raises(Refused) as caught:
        expand(name, wire, **caps)
    return caught.value.reason, caught.value.detail


@CODING
@settings(max_examples=60, deadline=None)
@given(plain=st.binary(max_size=5000))
def test_what_was_packed_comes_out(name: str, plain: bytes) -> None:
    assert expand(name, PACK[name](plain)) == plain


@CODING
def test_honest_events_that_repeat_themselves_are_taken(name: str) -> None:
    """Ordinary JSON reaches ratios far above ten."""
    plain = json.dumps([{"type": "invoice.paid", "number": n, "currency": "EUR", "live": True} for n in range(2000)])
    wire = PACK[name](plain.encode())
    assert len(plain) > 10 * len(wire)
    assert expand(name, wire) == plain.encode()


@CODING
def test_the_decoded_size_is_bounded_to_the_byte(name: str) -> None:
    noise = random.Random(7).randbytes(LIMIT)  # a ratio of one, so that only the size counts
    assert expand(name, PACK[name](noise)) == noise
    assert refused(name, PACK[name](noise + b"x")) == (Reason.DECOMP_LIMIT, "decoded_size")


@CODING
def test_the_ratio_counts_once_the_floor_is_passed(name: str) -> None:
    assert expand(name, PACK[name](b"a" * RATIO_FLOOR_BYTES)) == b"a" * RATIO_FLOOR_BYTES
    more = PACK[name](b"a" * (RATIO_FLOOR_BYTES * 8))
    assert refused(name, more) == (Reason.DECOMP_LIMIT, "decoded_ratio")
    assert len(expand(name, more, max_ratio=100_000)) == RATIO_FLOOR_BYTES * 8


@CODING
@pytest.mark.parametrize("padding", [0, 20_000, 200_000])
def test_a_bomb_costs_what_is_allowed_not_what_it_would_become(name: str, padding: int) -> None:
    """64 MiB, also behind honest-looking bytes that lift the ratio's cap."""
    wire = PACK[name](random.Random(1).randbytes(padding) + bytes(BOMB_BYTES))
    spent = []
    for _ in range(5):  # the least of them: another process may have had the caches
        began = time.process_time()
        reason, _ = refused(name, wire)
        spent.append(time.process_time() - began)
        assert reason is Reason.DECOMP_LIMIT
    assert min(spent) <= CPU_CAP_S
    tracemalloc.start()
    refused(name, wire)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LIMIT


def test_a_bomb_of_106_bytes() -> None:
    assert len(TINY_BOMB) == 106
    wire = TINY_BOMB
    assert refused("br", wire) == (Reason.DECOMP_LIMIT, "decoded_ratio")


@CODING
def test_every_cut_is_refused(name: str) -> None:
    wire = PACK[name](b'{"type":"invoice.paid","customer":"Zaphod Beeblebrox"}' * 3)
    for end in range(len(wire)):
        assert refused(name, wire[:end])[0] is Reason.MALFORMED
    if name != "br":
        assert refused(name, wire[:-1])[1] == "encoding_truncated"


@CODING
def test_nothing_may_follow(name: str) -> None:
    wire = PACK[name](b"hello")
    for rest in (b"\0", b"x" * 50, wire):
        reason, detail = refused(name, wire + rest)
        assert reason is Reason.MALFORMED
        assert detail in ("encoding_trailing", "encoding_broken")


@CODING
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_comes_it_is_an_answer(name: str, data: st.DataObject) -> None:
    wire = bytearray(PACK[name](b"some text that is some text " * 20))
    for at in data.draw(st.lists(st.integers(0, len(wire) - 1), max_size=4)):
        wire[at] ^= data.draw(st.integers(1, 255))
    junk = data.draw(st.booleans())
    try:
        expand(name, data.draw(st.binary(max_size=300)) if junk else bytes(wire))
    except Refused as error:
        reason = error.reason
    else:
        return
    assert reason in (Reason.MALFORMED, Reason.DECOMP_LIMIT)


def test_a_zstd_frame_that_asks_for_too_much_memory() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    assert refused("zstd", zstd.compress(bytes(BOMB_BYTES), options=options)) == (Reason.MALFORMED, "encoding_broken")


def test_a_brotli_window_that_takes_too_long_to_fill() -> None:
    wire = brotli.compress(bytes(BOMB_BYTES), lgwin=24, quality=4)
    assert refused("br", wire, max_ratio=1e9, limit_bytes=BOMB_BYTES * 2) == (Reason.MALFORMED, "encoding_window")


def test_a_bare_deflate_stream_is_not_zlib() -> None:
    packer = zlib.compressobj(wbits=-15)
    assert refused("deflate", packer.compress(b"hello") + packer.flush())[0] is Reason.MALFORMED


@pytest.mark.parametrize("window_log", range(10, 25))
@pytest.mark.parametrize("quality", [0, 5, 11])
def test_the_head_of_a_brotli_stream_reads_as_the_encoder_wrote_it(window_log: int, quality: int) -> None:
    noise = random.Random(window_log).randbytes(3000)
    head = read_brotli_head(brotli.compress(noise, lgwin=window_log, quality=quality))
    assert head.window_log == window_log or quality == 0 or window_log < 16
    assert 0 < head.first_bytes <= len(noise)


@pytest.mark.parametrize(
    ("stream", "window_log", "first_bytes"), [(b"\x06", 16, 0), (b"\x3b", 22, 0), (b"\x11", 0, 1), (b"", 16, 1)]
)
def test_heads_by_hand(stream: bytes, window_log: int, first_bytes: int) -> None:
    head = read_brotli_head(stream)
    assert (head.window_log, head.first_bytes) == (window_log, first_bytes)


@pytest.mark.parametrize(
    ("header", "reason", "detail"),
    [
        (b"x", Reason.MEDIA_TYPE, "content_encoding"),
        (b"", Reason.MEDIA_TYPE, "content_encoding"),
        (b"gzip,", Reason.MEDIA_TYPE, "content_encoding"),
        (b"compress", Reason.MEDIA_TYPE, "content_encoding"),
        (b"gzip, x", Reason.MEDIA_TYPE, "content_encoding"),
        (b"gzip;q=1", Reason.MEDIA_TYPE, "content_encoding"),
        (b"gzip, gzip", Reason.MALFORMED, "encoding_nested"),
        (b"br,zstd", Reason.MALFORMED, "encoding_nested"),
    ],
)
def test_codings_that_are_refused_by_name(header: bytes, reason: Reason, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        coding_of(header)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)


@pytest.mark.parametrize("header", [b"GZIP", b" gzip ", b"identity, gzip", b"x-gzip"])
def test_other_ways_to_write_gzip(header: bytes) -> None:
    assert coding_of(header) is CODINGS[b"gzip"]


@pytest.mark.parametrize("header", [b"identity", b"Identity", b"identity, identity"])
def test_identity_is_none(header: bytes) -> None:
    assert coding_of(header) is None
