"""64 MiB in one webhook of a few KiB, in every encoding that is taken: signed as it should be, so that it is expanded.

Sent over HTTP to a service, one after the other: from the request to the refusal, what that costs the service, and its
resident memory before and after. The control API, which is loaded behind the start, is there before it begins.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import sys
import time
import zlib

import brotli

from bench.figure import Asked, Measured, Reach, percentile
from bench.question import Question, Round
from bench.service import PATH, Service
from bench.signing import KEY
from rco.measure.usage import cpu_s, resident_mib

__all__ = ["QUESTION"]

_PLAIN_BYTES = 64 << 20
_HEAD_BYTES_MAX = 64 << 10


async def _ask(round: Round) -> list[Measured]:
    times, warm = round.count(40, least=2), 10
    bombs = {
        "gzip": gzip.compress(_plain(), 9),
        "deflate": zlib.compress(_plain(), 9),
        "br": brotli.compress(_plain(), quality=5, lgwin=22),
        "zstd": _zstd(_plain()),
    }
    waits: dict[str, list[float]] = {name: [] for name in bombs}
    answers: set[tuple[int, str]] = set()
    async with round.place() as place, Service(round.folder / "node", place) as service:
        await _loaded(service.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        before_mib = used_s = 0.0
        for turn in range(warm + times):
            if turn == warm:
                before_mib, used_s = resident_mib(service.pid), cpu_s(service.pid)
            for name, bomb in bombs.items():
                began = time.perf_counter()
                writer.write(_request(name, bomb, f"bomb_{name}_{turn}"))
                answers.add(await _answer(reader))
                if turn >= warm:
                    waits[name].append((time.perf_counter() - began) * 1e3)
        grown_mib, used_s = resident_mib(service.pid) - before_mib, cpu_s(service.pid) - used_s
        writer.close()
    assert answers == {(400, "DECOMP_LIMIT")}, answers
    worst = {name: max(found) for name, found in waits.items()}
    settings = {
        "plain_mib": _PLAIN_BYTES >> 20,
        "wire_bytes": {name: len(bomb) for name, bomb in bombs.items()},
        "times_each": times,
        "worst_ms": worst,
        "p50_ms": {name: percentile(found, 50) for name, found in waits.items()},
        "signed": "as it should be",
        "resident_mib_before": before_mib,
    }
    cost = used_s / (times * len(bombs)) * 1000
    return [
        Measured(
            name="bombs",
            value=max(percentile(found, 50) for found in waits.values()),
            cpu_s_per_1000=cost,
            settings=settings,
        ),
        Measured(
            name="bombs-p99",
            value=max(percentile(found, 99) for found in waits.values()),
            cpu_s_per_1000=cost,
            settings=settings,
        ),
        Measured(name="bombs-memory", value=max(0.0, grown_mib), settings=settings),
    ]


def _plain() -> bytes:
    head = b'{"id":"bomb","type":"invoice.paid","data":"'
    return head + b"x" * (_PLAIN_BYTES - len(head) - 2) + b'"}'


def _zstd(plain: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    found: bytes = zstd.compress(plain, level=3)
    return found


def _request(encoding: str, body: bytes, identity: str) -> bytes:
    stamp = str(int(time.time()))
    signed = hmac.digest(KEY, b".".join((identity.encode(), stamp.encode(), body)), "sha256")
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: {identity}\r\nwebhook-timestamp: {stamp}\r\n"
        f"webhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n"
    )
    return head.encode() + body


async def _loaded(port: int) -> None:
    """Ask the control API, which answers when it is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/info HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    assert (await _answer(reader))[0] == 401
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    body = await reader.readexactly(min(length, _HEAD_BYTES_MAX))
    return int(head[9:12]), body.partition(b'"reason":"')[2].split(b'"', 1)[0].decode()


QUESTION = Question(
    asked=(
        Asked(
            name="bombs",
            text="64 MiB bomb in gzip, deflate, br and zstd, over HTTP: refused after, p50 of the slowest",
            unit="ms",
            reach=Reach(10, at_most=True),
        ),
        Asked(name="bombs-p99", text="… p99", unit="ms"),
        Asked(
            name="bombs-memory",
            text="… resident memory of the service grown by",
            unit="MiB",
            reach=Reach(2, at_most=True),
        ),
    ),
    ask=_ask,
    rounds_max=2,
)
