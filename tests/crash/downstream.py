"""The other side: a service that outlives every kill and writes down each request and each effect before it answers.

``python -m tests.crash.downstream --ledger FILE --seed N --doors K``; prints ``listening on PORT ...``, a port for each
door, so that the ledger tells which node sent a request. With an ``Idempotency-Key``
a request has its effect once and every repeat gets the first answer; without one every request has its effect, so that
a call that was doubled can be seen. Which requests fail is chosen by the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from aiohttp import web

__all__ = ["main"]

BUSY_SHARE, LATE_SHARE, CUT_SHARE = 0.06, 0.03, 0.03
"""Answered 503 with nothing done; done, but answered too late; done, but the connection cut instead of an answer."""


def fault(seed: int, what: str, order: str, attempt: int) -> str:
    """The fault of the ``attempt``-th request about the same thing. An order that begins with ``calm`` meets none."""
    if order.startswith("calm"):
        return ""
    drawn = hashlib.blake2b(f"{seed}|{what}|{order}|{attempt}".encode(), digest_size=8).digest()
    draw = int.from_bytes(drawn, "big") / 2**64
    for name, share in (("busy", BUSY_SHARE), ("late", LATE_SHARE), ("cut", CUT_SHARE)):
        if draw < share:
            return name
        draw -= share
    return ""


class Ledger:
    """JSON lines. ``write`` returns when the line is on disk; lines that come meanwhile share the next sync."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._syncing: asyncio.Task[None] | None = None

    async def write(self, kind: str, **fields: Any) -> None:
        line = {"kind": kind, "at_us": time.time_ns() // 1000, **fields}
        on_disk = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line).encode() + b"\n", on_disk))
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await on_disk

    async def _sync(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._put, b"".join(line for line, _ in batch))
            for _, on_disk in batch:
                on_disk.set_result(None)
        self._syncing = None

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())


class Downstream:
    """Routes: ``POST /effects/{what}``, ``POST /refusals/{what}`` (always 409), ``GET /lookups/{order}``."""

    def __init__(self, ledger: Ledger, seed: int, late_s: float) -> None:
        self._ledger, self._seed, self._late_s = ledger, seed, late_s
        self._attempts: dict[tuple[str, str], int] = {}
        self._done: dict[str, asyncio.Task[dict[str, Any]]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/effects/{what}", self._effect)
        app.router.add_post("/refusals/{what}", self._refusal)
        app.router.add_get("/lookups/{order}", self._lookup)
        return app

    async def _effect(self, request: web.Request) -> web.StreamResponse:
        order = str((await request.json())["order"])
        what, key = request.match_info["what"], request.headers.get("Idempotency-Key", "")
        chosen = await self._seen(request, what, order, key)
        if chosen == "busy":
            return web.json_response({"error": "busy"}, status=503)
        if key:
            if key not in self._done:
                self._done[key] = asyncio.create_task(self._do(what, order, key))
            # A caller that dies does not undo what was begun.
            answer = await asyncio.shield(self._done[key])
        else:
            answer = await asyncio.shield(asyncio.create_task(self._do(what, order, key)))
        if chosen == "late":
            await asyncio.sleep(self._late_s)
        if chosen == "cut" and request.transport is not None:
            request.transport.abort()
        return web.json_response(answer, status=201)

    async def _do(self, what: str, order: str, key: str) -> dict[str, Any]:
        await self._ledger.write("effect", what=what, order=order, key=key)
        return {"effect": what, "order": order, "key": key}

    async def _refusal(self, request: web.Request) -> web.StreamResponse:
        order = str((await request.json())["order"])
        what, key = request.match_info["what"], request.headers.get("Idempotency-Key", "")
        if await self._seen(request, what, order, key) == "busy":
            return web.json_response({"error": "busy"}, status=503)
        return web.json_response({"error": "no"}, status=409)

    async def _lookup(self, request: web.Request) -> web.StreamResponse:
        order = request.match_info["order"]
        if await self._seen(request, "lookup", order, "") == "busy":
            return web.json_response({"error": "busy"}, status=503)
        return web.json_response({"order": order, "tier": "gold"})

    async def _seen(self, request: web.Request, what: str, order: str, key: str) -> str:
        attempt = self._attempts[what, order] = self._attempts.get((what, order), 0) + 1
        chosen = fault(self._seed, what, order, attempt)
        port = request.transport.get_extra_info("sockname")[1] if request.transport is not None else 0
        await self._ledger.write("seen", what=what, order=order, key=key, attempt=attempt, fault=chosen, port=port)
        return chosen


async def _serve(ledger: Path, seed: int, late_s: float, doors: int) -> None:
    runner = web.AppRunner(Downstream(Ledger(ledger), seed, late_s).app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    for _ in range(doors):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    ports = " ".join(str(address[1]) for address in runner.addresses)
    os.write(1, f"listening on {ports}\n".encode())
    await asyncio.Event().wait()


def main() -> None:
    """Serve on free ports of 127.0.0.1 until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.downstream")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late", type=float, default=0.8, help="seconds that a late answer is held back")
    parser.add_argument("--doors", type=int, default=1)
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.ledger, chosen.seed, chosen.late, chosen.doors))


if __name__ == "__main__":
    main()
