"""``python -m rco.drills.sender``: sends a mix of reads, webhooks and puts at a rate, in a process of its own.

The first line on standard input is the ``Way``; each further one a ``Load``, which holds until the next. It says
``ready``, then a line each second, and at the end one with everything. The rate is kept whatever the service does: a
request that is due while no connection is free waits, and its time counts from when it was due.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import os
import ssl
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec
import uvloop

from rco.drills.load import KINDS, Came, Load, Said, Second, Way
from rco.kit.digest import content_address
from rco.measure.usage import percentile

__all__ = ["Sender", "main"]

WAITING_MAX = 5_000
"""Requests that are due and wait for a connection; beyond it they count as not sent."""
ADDRESSES_MAX = 10_000
_IDLE_S = 3.0
"""A connection unused for longer may be about to be closed by the other side."""
_SWEEP_S = 0.25
_BEAT_S = 0.001
"""The loop's timers know nothing shorter: a shorter sleep is none, and who does not sleep takes the core that the
service needs. What is due within it goes together."""
_LINE_BYTES_MAX = 1 << 20


class _Job:
    """One request."""

    __slots__ = ("address", "began", "identity", "kind", "phase", "request", "sent_at_s")

    def __init__(self, kind: str, phase: str, identity: str, request: bytes, address: str = "") -> None:
        self.kind, self.phase, self.identity, self.request, self.address = kind, phase, identity, request, address
        self.began = time.monotonic()
        self.sent_at_s = 0.0


class _Line(asyncio.Protocol):
    """One connection, with at most one request on it."""

    __slots__ = ("_body_at", "_held", "_until", "closing", "idle_since", "job", "sender", "transport")

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.job: _Job | None = None
        self.closing = False
        self.idle_since = 0.0
        self._held = bytearray()
        self._body_at = self._until = -1
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, job: _Job) -> None:
        self.job = job
        job.sent_at_s = time.monotonic()
        self.transport.write(job.request)

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        if self._until < 0:
            end = held.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(held[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._body_at, self._until = end + 4, end + 4 + length
            self.closing = b"connection: close" in head
        if len(held) < self._until:
            return
        job, self.job = self.job, None
        status, body = int(held[9:12]), bytes(held[self._body_at : self._until])
        held.clear()
        self._body_at = self._until = -1
        if job is not None:
            self.sender.answered(self, job, status, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.sender.lost(self)


class Sender:
    """Sends what it is told to, over connections of its own. ``said`` is given each line."""

    def __init__(self, way: Way, said: Any) -> None:
        self._way, self._said = way, said
        parts = urlsplit(way.url)
        self._host, self._tls = parts.hostname or "127.0.0.1", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc, self._base = parts.netloc, parts.path.rstrip("/")
        self._ssl = ssl.create_default_context() if self._tls else None
        self._key = base64.b64decode(way.secret.removeprefix("whsec_"))
        self._idle: list[_Line] = []
        self._lines: set[_Line] = set()
        self._connecting = 0
        self._waiting: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._load = Load(phase="")
        self._changed = asyncio.Event()
        self._owed = dict.fromkeys(KINDS, 0.0)
        self._skewed = [0.0, 0.0]
        self._number = 0
        self._addresses: list[str] = []
        self._next_address = 0
        self._came: dict[tuple[str, str], Came] = {}
        self._waits: dict[tuple[str, str], array[float]] = {}
        self._second: dict[str, tuple[Second, list[float]]] = {}
        self._record: BinaryIO | None = None
        if way.record:
            self._record = Path(way.record).open("ab")  # noqa: SIM115 - closed by run
        self._filler = "x" * way.body_bytes

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self, loads: asyncio.Queue[Load]) -> None:
        """Prime, say so, and send until a load says stop."""
        if self._way.token:
            await self._prime()
        self._began = time.monotonic()
        self._cpu = time.process_time()
        self._said(Said(ready=True))
        beside = [asyncio.create_task(self._sweep()), asyncio.create_task(self._tell())]
        pacing = asyncio.create_task(self._pace())
        try:
            while not (load := await self._next(loads, pacing)).stop:
                self._load = load
                self._changed.set()
        finally:
            pacing.cancel()
            await self._settle()
            for task in beside:
                task.cancel()
            await asyncio.gather(pacing, *beside, return_exceptions=True)
            if self._record is not None:
                self._record.close()
        self._tell_second()
        self._said(Said(ended=True, at_s=self._now_s(), came=self._all(), cpu_s=time.process_time() - self._cpu))

    @staticmethod
    async def _next(loads: asyncio.Queue[Load], pacing: asyncio.Task[None]) -> Load:
        """The next load. Raises what ended the pacing."""
        asked = asyncio.ensure_future(loads.get())
        await asyncio.wait((asked, pacing), return_when=asyncio.FIRST_COMPLETED)
        if pacing.done():
            asked.cancel()
            await pacing
        return await asked

    async def _prime(self) -> None:
        for _ in range(self._way.primed):
            self._dispatch(self._put("prime"))
        async with asyncio.timeout(self._way.patience_s * 2):
            while len(self._addresses) < self._way.primed:
                if self._failed("prime"):
                    raise RuntimeError(f"content cannot be put: {self._came['prime', 'put'].reasons}")
                await self._rest(0.005)

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _failed(self, phase: str) -> bool:
        came = self._came.get((phase, "put"))
        return came is not None and any(int(status) >= 400 or status == "0" for status in came.statuses)

    async def _settle(self) -> None:
        """Wait for what is due; what stays out is counted as no answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._way.patience_s + 1):
                while self._waiting or any(line.job is not None for line in self._lines):
                    await self._rest(0.02)
        for line in list(self._lines):
            line.transport.abort()
        await asyncio.sleep(0)

    async def _pace(self) -> None:
        due = time.monotonic()
        while True:
            load = self._load
            if not load.rate_per_s:
                self._changed.clear()
                await self._changed.wait()
                due = time.monotonic()
                continue
            now = time.monotonic()
            if self._changed.is_set():
                self._changed.clear()
                due = now
            gap = 1 / load.rate_per_s
            while due <= now:
                self._dispatch(self._make(load))
                due += gap
            await asyncio.sleep(max(_BEAT_S, due - time.monotonic()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for line in list(self._lines):
                if line.job is not None and now - line.job.sent_at_s > self._way.patience_s:
                    line.transport.abort()
            while self._idle and now - self._idle[0].idle_since > _IDLE_S:
                self._idle.pop(0).transport.close()

    async def _tell(self) -> None:
        number = 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, self._began + number - time.monotonic()))
            self._tell_second()

    def _now_s(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _tell_second(self) -> None:
        kinds = {}
        for kind, (second, waits) in self._second.items():
            if waits:
                second.p95_ms, second.most_ms = round(percentile(waits, 95), 3), round(max(waits), 3)
            kinds[kind] = second
        self._second = {}
        self._said(Said(at_s=self._now_s(), phase=self._load.phase, kinds=kinds))

    def _all(self) -> list[Came]:
        every: dict[str, Came] = {}
        waits: dict[str, array[float]] = {}
        for (phase, kind), came in self._came.items():
            _measure(came, self._waits[phase, kind])
            whole = every.setdefault(phase, Came(phase=phase, kind="all", statuses={}, reasons={}))
            waits.setdefault(phase, array("d")).extend(self._waits[phase, kind])
            whole.asked += came.asked
            whole.unsent += came.unsent
            for into, of in ((whole.statuses, came.statuses), (whole.reasons, came.reasons)):
                for name, count in of.items():
                    into[name] = into.get(name, 0) + count
        for phase, whole in every.items():
            _measure(whole, waits[phase])
        return [*self._came.values(), *every.values()]

    # -- making ----------------------------------------------------------------------------------------------------

    def _make(self, load: Load) -> _Job:
        owed = self._owed
        for kind in KINDS:
            owed[kind] += getattr(load, kind)
        kind = max(KINDS, key=owed.__getitem__)
        owed[kind] -= 1.0
        if kind == "webhook":
            return self._webhook(load)
        if kind == "put" or not self._addresses:
            return self._put(load.phase)
        self._next_address = (self._next_address + 1) % len(self._addresses)
        address = self._addresses[self._next_address]
        request = f"GET {self._base}/o/{address} HTTP/1.1\r\nhost: {self._netloc}\r\n\r\n".encode()
        return _Job("get", load.phase, address, request, address)

    def _webhook(self, load: Load) -> _Job:
        self._number += 1
        at_s, phase = time.time(), load.phase
        for which, share in enumerate((load.late, load.ahead)):
            self._skewed[which] += share
            if self._skewed[which] >= 1.0:
                self._skewed[which] -= 1.0
                at_s += load.skew_s * (-1 if which == 0 else 1)
                phase = f"{load.phase}:{'late' if which == 0 else 'ahead'}"
                break
        identity = f"{self._way.prefix}_{self._number:08d}"
        body = self._body(identity)
        stamp = str(int(at_s))
        signed = hmac.digest(self._key, b".".join((identity.encode(), stamp.encode(), body)), "sha256")
        head = (
            f"POST {self._base}/webhooks/{self._way.provider} HTTP/1.1\r\nhost: {self._netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nwebhook-id: {identity}\r\n"
            f"webhook-timestamp: {stamp}\r\nwebhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n"
        )
        return _Job("webhook", phase, identity, head.encode() + body)

    def _body(self, identity: str) -> bytes:
        bare = f'{{"id":"{identity}","type":"{self._way.event_type}","data":{{"order":"{identity}","note":"'
        note = self._filler[: max(0, self._way.body_bytes - len(bare) - 3)]
        return f'{bare}{note}"}}}}'.encode()

    def _put(self, phase: str) -> _Job:
        self._number += 1
        identity = f"{self._way.prefix}_{self._number:08d}"
        body = (identity + self._filler)[: max(len(identity), self._way.body_bytes)].encode()
        head = (
            f"POST {self._base}/put HTTP/1.1\r\nhost: {self._netloc}\r\nauthorization: Bearer {self._way.token}\r\n"
            f"content-type: application/octet-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return _Job("put", phase, identity, head.encode() + body)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _dispatch(self, job: _Job) -> None:
        self._of(job).asked += 1
        if self._idle:
            self._idle.pop().send(job)
        elif len(self._waiting) >= WAITING_MAX:
            self._of(job).unsent += 1
        else:
            self._waiting.append(job)
            self._open()

    def _open(self) -> None:
        """One connection more, if there may be one."""
        if len(self._lines) + self._connecting < self._way.connections:
            self._connecting += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        line: _Line | None = None
        try:
            async with asyncio.timeout(self._way.patience_s):
                _, line = await loop.create_connection(lambda: _Line(self), self._host, self._port, ssl=self._ssl)
        except (OSError, TimeoutError):
            if self._waiting:
                self._count(self._waiting.popleft(), 0, "no_connection")
        finally:
            self._connecting -= 1
        if line is not None:
            self._lines.add(line)
            self._free(line)

    def _free(self, line: _Line) -> None:
        """Use the connection for what waits, or keep it."""
        if line.closing or line.transport.is_closing():
            line.transport.close()
        elif self._waiting:
            line.send(self._waiting.popleft())
        else:
            line.idle_since = time.monotonic()
            self._idle.append(line)

    def answered(self, line: _Line, job: _Job, status: int, body: bytes) -> None:
        """The whole answer to ``job`` is here."""
        reason = ""
        if status >= 400:
            at = body.find(b'"reason":"')
            reason = body[at + 10 :].split(b'"', 1)[0].decode("ascii", "replace")[:64] if at >= 0 else "unknown"
        elif job.kind == "put":
            job.address = msgspec.json.decode(body, type=dict[str, str])["address"]
            if len(self._addresses) < ADDRESSES_MAX:
                self._addresses.append(job.address)
        elif job.kind == "get" and content_address(body) != job.address:
            status, reason = 0, "wrong_bytes"
        self._count(job, status, reason)
        self._free(line)

    def lost(self, line: _Line) -> None:
        """The connection is gone."""
        self._lines.discard(line)
        with contextlib.suppress(ValueError):
            self._idle.remove(line)
        job, line.job = line.job, None
        if job is not None:
            self._count(job, 0, "no_answer")
        if self._waiting:
            self._open()

    # -- counting --------------------------------------------------------------------------------------------------

    def _of(self, job: _Job) -> Came:
        key = job.phase, job.kind
        came = self._came.get(key)
        if came is None:
            came = self._came[key] = Came(phase=job.phase, kind=job.kind, statuses={}, reasons={})
            self._waits[key] = array("d")
        return came

    def _count(self, job: _Job, status: int, reason: str) -> None:
        wait_ms = (time.monotonic() - job.began) * 1e3
        came, word = self._of(job), str(status)
        came.statuses[word] = came.statuses.get(word, 0) + 1
        second, waits = self._second.setdefault(job.kind, (Second(statuses={}, reasons={}), []))
        second.statuses[word] = second.statuses.get(word, 0) + 1
        if reason:
            came.reasons[reason] = came.reasons.get(reason, 0) + 1
            second.reasons[reason] = second.reasons.get(reason, 0) + 1
        self._waits[job.phase, job.kind].append(wait_ms)
        waits.append(wait_ms)
        if self._record is not None:
            told = [job.phase, job.kind, job.identity, status, reason, job.address, round(wait_ms, 3)]
            self._record.write(msgspec.json.encode(told) + b"\n")


def _measure(came: Came, waits: array[float]) -> None:
    if waits:
        came.p50_ms, came.p95_ms, came.p99_ms = (round(percentile(waits, at), 3) for at in (50, 95, 99))
        came.most_ms = round(max(waits), 3)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    way = msgspec.json.decode(await reader.readline(), type=Way)
    loads: asyncio.Queue[Load] = asyncio.Queue()

    async def listen() -> None:
        while line := await reader.readline():
            loads.put_nowait(msgspec.json.decode(line, type=Load))
        # Whoever started it is gone.
        loads.put_nowait(Load(phase="", stop=True))

    listening = asyncio.create_task(listen())
    try:
        await Sender(way, say).run(loads)
    finally:
        listening.cancel()


def say(said: Said) -> None:
    """One line on standard output."""
    data = msgspec.json.encode(said) + b"\n"
    while data:
        data = data[os.write(1, data) :]


def main() -> int:
    """The command. 1 when it could not begin; its last line says why."""
    try:
        uvloop.run(_serve())
    except (RuntimeError, TimeoutError, OSError, msgspec.DecodeError) as problem:
        say(Said(wrong=f"{type(problem).__name__}: {problem}"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
