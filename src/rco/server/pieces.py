"""A body in pieces, as it comes: each in its time, and all of them in theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import msgspec

from rco.errors import Reason, Refused
from rco.kit.clock import Clock
from rco.objects.contract import CHUNK_BYTES
from rco.server.deadlines import Deadlines
from rco.server.framing import UNKNOWN_LENGTH, Head, Receive

__all__ = ["Begun", "cut", "pieces", "resumed"]


class Begun(msgspec.Struct, frozen=True):
    """A body of which something was read already. ``whole``: that was all of it."""

    data: bytes
    whole: bool


async def resumed(
    begun: Begun | None,
    receive: Receive,
    head: Head,
    limit_bytes: int,
    *,
    clock: Clock,
    deadlines: Deadlines,
    ends_s: float,
) -> AsyncIterator[bytes]:
    """What was ``begun``, then the rest, as ``pieces`` gives it, within one limit and until ``ends_s``."""
    if begun is not None:
        if len(begun.data) > limit_bytes:
            raise Refused(Reason.BODY_LIMIT, "body_streamed")
        for piece in cut(begun.data):
            yield piece
        if begun.whole:
            return
        limit_bytes -= len(begun.data)
    rest = pieces(
        receive,
        head,
        limit_bytes,
        clock=clock,
        deadlines=deadlines,
        whole_timeout_s=max(0.0, ends_s - clock.monotonic()),
    )
    async for piece in rest:
        yield piece


async def pieces(
    receive: Receive, head: Head, limit_bytes: int, *, clock: Clock, deadlines: Deadlines, whole_timeout_s: float
) -> AsyncIterator[bytes]:
    """The body in pieces of at most 64 KiB; of what came, no more than one message of the server is held.

    Raises ``Refused``: ``BODY_LIMIT`` (``body_announced``, ``body_streamed``), ``TIMEOUT`` when a piece takes longer
    than ``deadlines`` give it, or the whole too long, ``MALFORMED`` when the sender goes away (``body_cut``) or sends
    another length than it announced.
    """
    if head.length > limit_bytes:
        raise Refused(Reason.BODY_LIMIT, "body_announced")
    size_bytes = 0
    ends_s = clock.monotonic() + whole_timeout_s
    more = head.length != 0
    while more:
        message = await _next(receive, deadlines, ends_s - clock.monotonic())
        if message["type"] != "http.request":
            raise Refused(Reason.MALFORMED, "body_cut")
        more = message.get("more_body", False)
        size_bytes += len(chunk := message.get("body", b""))
        if size_bytes > limit_bytes:
            raise Refused(Reason.BODY_LIMIT, "body_streamed")
        for piece in cut(chunk):
            yield piece
    if head.length not in (UNKNOWN_LENGTH, size_bytes):
        raise Refused(Reason.MALFORMED, "body_length")


async def _next(receive: Receive, deadlines: Deadlines, left_s: float) -> MutableMapping[str, Any]:
    if left_s < deadlines.timeout_s:
        # The end of the whole comes first.
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await receive()
        except TimeoutError:
            raise Refused(Reason.TIMEOUT, "body_slow") from None
    task = deadlines.begin()
    try:
        return await receive()
    except asyncio.CancelledError:
        if deadlines.passed(task):
            raise Refused(Reason.TIMEOUT, "body_slow") from None
        raise
    finally:
        deadlines.end(task)


def cut(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of at most 64 KiB; none when it is empty."""
    if 0 < len(data) <= CHUNK_BYTES:
        yield data
        return
    for at in range(0, len(data), CHUNK_BYTES):
        yield data[at : at + CHUNK_BYTES]
