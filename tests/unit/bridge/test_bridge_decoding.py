"""Decoding in pieces gives what decoding at once does, and refuses the same, with a step in memory and no more."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rco.bridge.decoding import STEP_BYTES, Decoding, decoding_of
from rco.bridge.decompression import coding_of, expander
from rco.errors import Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MiB = 1 << 20
ENCODE: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": lambda data: gzip.compress(data, mtime=0),
    b"deflate": zlib.compress,
    b"br": lambda data: brotli.compress(data, quality=5, lgwin=20),
    b"zstd": zstd.compress,
}


def decoded(coding: bytes, wire: bytes, cuts: list[int], *, limit_bytes: int = 64 * MiB, ratio: float = 1e9) -> bytes:
    return b"".join(steps(coding, wire, cuts, limit_bytes=limit_bytes, ratio=ratio))


def steps(
    coding: bytes, wire: bytes, cuts: list[int], *, limit_bytes: int = 64 * MiB, ratio: float = 1e9
) -> Iterator[bytes]:
    decoding = Decoding(coding, wire_bytes=len(wire), limit_bytes=limit_bytes, max_ratio=ratio)
    at = 0
    for cut in [*sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]:
        if cut > at:
            yield from decoding.add(wire[at:cut])
        at = cut
    decoding.end()


def outcome(ask: Callable[[], bytes]) -> bytes | str:
    try:
        return ask()
    except Refused as refused:
        return refused.detail


@pytest.mark.parametrize("coding", ENCODE)
@given(data=st.binary(max_size=3000), times=st.integers(1, 60), cuts=st.lists(st.integers(64, 1 << 20), max_size=5))
def test_whatever_the_pieces_it_is_what_was_encoded(coding: bytes, data: bytes, times: int, cuts: list[int]) -> None:
    wire = ENCODE[coding](data * times)
    # The head of a Brotli stream is never cut: pieces are of 64 KiB, and a first one is longer than it.
    cuts = [cut for cut in cuts if cut % (len(wire) + 1) > 16]
    assert decoded(coding, wire, cuts) == data * times


@pytest.mark.parametrize("coding", ENCODE)
def test_what_is_refused_at_once_is_refused_in_pieces(coding: bytes) -> None:
    plain = bytes(range(256)) * 4000
    wire = ENCODE[coding](plain)
    expand = expander(coding_of(coding), limit_bytes=64 * MiB, max_ratio=1e9)  # type: ignore[arg-type]
    broken = bytearray(wire)
    broken[len(wire) // 2] ^= 0xFF
    for other in (wire[:-1], wire[: len(wire) // 2], wire + b"x", wire + wire, bytes(broken), b"{}" * 50):
        told = outcome(lambda other=other: decoded(coding, other, [len(other) // 3, len(other) - 1]))
        held = outcome(lambda other=other: expand(other))
        # A coding without a checksum takes some changes for another text.
        assert told == held or {told, held} <= {"encoding_broken", "encoding_trailing", "encoding_truncated"}


@pytest.mark.parametrize("coding", ENCODE)
def test_a_bomb_is_refused_with_the_first_step_too_much(coding: bytes) -> None:
    wire = ENCODE[coding](bytes(64 * MiB))
    for limit_bytes, ratio, detail in ((MiB, 1e9, "decoded_size"), (1 << 40, 20.0, "decoded_ratio")):
        sizes: list[int] = []

        def drain(sizes: list[int] = sizes, limit_bytes: int = limit_bytes, ratio: float = ratio) -> bytes:
            sizes.extend(len(step) for step in steps(coding, wire, [], limit_bytes=limit_bytes, ratio=ratio))
            return b""

        assert outcome(drain) == detail
        assert max(sizes, default=0) <= 2 * STEP_BYTES
        size_bytes = sum(sizes)
        assert size_bytes <= min(limit_bytes, max(STEP_BYTES, ratio * len(wire)))


def test_a_brotli_window_that_is_too_large() -> None:
    wire = brotli.compress(b"x" * 100, lgwin=24)
    assert outcome(lambda: decoded(b"br", wire, [])) == "encoding_window"


def test_names() -> None:
    assert decoding_of(None) is None
    assert decoding_of(b"identity") is None
    assert decoding_of(b" GZIP ") == b"gzip"
    for header, detail in (
        (b"rot13", "content_encoding"),
        (b"gzip, gzip", "encoding_nested"),
        (b"", "content_encoding"),
    ):
        with pytest.raises(Refused) as raised:
            decoding_of(header)
        assert raised.value.detail == detail
