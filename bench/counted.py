"""A target that counts what is above its limits, by its own clock, in a process of its own.

``python -m bench.counted SECONDS RATE BURST CONCURRENCY`` prints its port, begins to count with the line that it reads,
and prints what it found as JSON. Nothing of the product's code is in it.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from aiohttp import web

__all__ = ["Counted"]

QUICK_S, SLOW_S = 0.03, 0.4
TURN_S = 4.0


class Counted(msgspec.Struct):
    """What a target saw. ``possible``: the calls that its limits would have let through in the time."""

    calls: int = 0
    above_rate: int = 0
    above_concurrency: int = 0
    most_at_once: int = 0
    least_tokens: float = 0.0
    possible: float = 0.0


class _Counter:
    def __init__(self, seconds: float, rate: float, burst: float, concurrency: int) -> None:
        self.rate, self.burst, self.concurrency, self.seconds = rate, burst, concurrency, seconds
        self.found = Counted(least_tokens=burst)
        self.tokens, self.before = burst, time.monotonic()
        self.under_way = 0
        self.end: float | None = None

    async def count(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        found = self.found
        self.under_way += 1
        try:
            self.tokens = min(self.burst, self.tokens + (now - self.before) * self.rate) - 1
            self.before = now
            found.calls += self.end is not None
            found.least_tokens = min(found.least_tokens, self.tokens)
            if self.tokens < 0:
                found.above_rate += 1
                # What was above is not held against those that follow.
                self.tokens = 0.0
            found.most_at_once = max(found.most_at_once, self.under_way)
            found.above_concurrency += self.under_way > self.concurrency
            await request.read()
            await asyncio.sleep(QUICK_S if int(now / TURN_S) % 2 else SLOW_S)
            return web.json_response({"over": self.end is not None and now > self.end})
        finally:
            self.under_way -= 1


async def _serve(counter: _Counter) -> None:
    app = web.Application()
    app.router.add_post("/count", counter.count)
    # Who hangs up has not taken back what it asked for: the work goes on.
    runner = web.AppRunner(app, handler_cancellation=False, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[attr-defined]
    await asyncio.to_thread(sys.stdin.readline)
    counter.end = time.monotonic() + counter.seconds
    await asyncio.sleep(counter.seconds)
    counter.found.possible = (
        counter.seconds
        * (min(counter.rate, counter.concurrency / QUICK_S) + min(counter.rate, counter.concurrency / SLOW_S))
        / 2
    )
    print(msgspec.json.encode(counter.found).decode(), flush=True)
    # Let the runs end.
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(_serve(_Counter(float(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))))
