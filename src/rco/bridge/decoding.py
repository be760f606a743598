"""Compressed bodies that are too large to be held, made plain piece by piece under the same caps as the others.

What comes out of one piece is given in steps of 64 KiB, so that a bomb is in memory by a step and no more, and is
refused with the first step past what is allowed. Called after the signature holds, like ``decompression``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli

from rco.bridge.brotli_head import read_brotli_head
from rco.bridge.decompression import BROTLI_WINDOW_CAP_LOG, RATIO_FLOOR_BYTES, WINDOW_CAP_LOG, malformed, name_of, zstd
from rco.errors import Reason, Refused

__all__ = ["Decoding", "decoding_of"]

STEP_BYTES = 64 << 10


class _Stream(Protocol):
    """One stream of one coding."""

    ended: bool

    def steps(self, wire: bytes) -> Iterator[bytes]:
        """What ``wire`` decodes to, none of it larger than twice ``STEP_BYTES``. Raises ``Refused`` (``MALFORMED``)."""
        ...


class _Inflating:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)
        self.ended = False

    def steps(self, wire: bytes) -> Iterator[bytes]:
        stream = self._stream
        while True:
            try:
                plain = stream.decompress(wire, STEP_BYTES)
            except zlib.error as error:
                raise malformed("encoding_broken") from error
            if plain:
                yield plain
            if stream.eof:
                self.ended = True
                if stream.unused_data:
                    raise malformed("encoding_trailing")
                return
            wire = stream.unconsumed_tail
            if not wire and len(plain) < STEP_BYTES:
                return


class _Zstandard:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_CAP_LOG})
        self.ended = False

    def steps(self, wire: bytes) -> Iterator[bytes]:
        stream = self._stream
        while True:
            try:
                plain = stream.decompress(wire, STEP_BYTES)
            except zstd.ZstdError as error:
                raise malformed("encoding_broken") from error
            wire = b""
            if plain:
                yield plain
            if stream.eof:
                self.ended = True
                if stream.unused_data:
                    raise malformed("encoding_trailing")
                return
            if stream.needs_input:
                return


class _Brotli:
    """The head of the stream, and so its window, is looked at before the library is."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = self.ended = False

    def steps(self, wire: bytes) -> Iterator[bytes]:
        stream = self._stream
        if not self._begun:
            # A piece is longer than any head, unless it is all that there is.
            self._begun = True
            if read_brotli_head(wire).window_log > BROTLI_WINDOW_CAP_LOG:
                raise malformed("encoding_window")
        while True:
            try:
                plain = stream.process(wire, output_buffer_limit=STEP_BYTES)
            except brotli.error as error:
                raise malformed("encoding_broken") from error
            wire = b""
            if plain:
                yield plain
            if stream.is_finished():
                self.ended = True
                return
            if not plain and stream.can_accept_more_data():
                return


_STREAMS: dict[bytes, Callable[[], _Stream]] = {
    b"gzip": lambda: _Inflating(31),
    b"x-gzip": lambda: _Inflating(31),
    b"deflate": lambda: _Inflating(15),
    b"br": _Brotli,
    b"zstd": _Zstandard,
}


class Decoding:
    """One body. ``add`` each piece of the wire and take what comes of it, then ``end``."""

    __slots__ = ("_cap_bytes", "_over", "_size_bytes", "_stream")

    def __init__(self, coding: bytes, *, wire_bytes: int, limit_bytes: int, max_ratio: float) -> None:
        """``coding``: as ``decoding_of`` names it. ``wire_bytes``: how long the whole of the wire is."""
        by_ratio_bytes = max(RATIO_FLOOR_BYTES, int(max_ratio * wire_bytes))
        self._cap_bytes = min(limit_bytes, by_ratio_bytes)
        self._over = "decoded_ratio" if by_ratio_bytes < limit_bytes else "decoded_size"
        self._size_bytes = 0
        self._stream = _STREAMS[coding]()

    def add(self, wire: bytes) -> Iterator[bytes]:
        """Raises ``Refused`` as what ``expander`` gives does, with the first step that is too much."""
        if self._stream.ended and wire:
            raise malformed("encoding_trailing")
        for plain in self._stream.steps(wire):
            self._size_bytes += len(plain)
            if self._size_bytes > self._cap_bytes:
                raise Refused(Reason.DECOMP_LIMIT, self._over)
            yield plain

    def end(self) -> None:
        """All of the wire has passed. Raises ``Refused`` (``encoding_truncated``) where its stream goes on."""
        if not self._stream.ended:
            raise malformed("encoding_truncated")


def decoding_of(header: bytes | None) -> bytes | None:
    """The coding that a ``Content-Encoding`` names, for ``Decoding``; ``None`` when the body is as it is. Raises
    ``Refused`` as ``coding_of`` does."""
    return None if header is None else name_of(header)
