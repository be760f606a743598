"""The service that is called: it books an order once for each idempotency key, and can be made slow and unreliable."""

from __future__ import annotations

import asyncio
import random
from typing import Self

from aiohttp import web

__all__ = ["Ledger"]

_BODY_BYTES_MAX = 64 << 10


class Ledger:
    """``async with Ledger() as ledger``: listens at ``url``. What is booked is kept in memory."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - faults that can be repeated
        self._answers: dict[str, int] = {}
        self.entries: dict[str, int] = {}
        """How many entries each order has."""
        self.delay_s = 0.0
        """How long each request takes."""
        self.errors = 0.0
        """The share of requests that are answered 503, with nothing done."""
        self.failed = 0
        self.url = ""
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        app.router.add_post("/entries", self._book)
        # Who hangs up has not taken back what was asked for.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _book(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.errors and self._chance.random() < self.errors:
            self.failed += 1
            return web.json_response({"error": "busy"}, status=503)
        key = request.headers["Idempotency-Key"]
        if key not in self._answers:
            self._answers[key] = len(self._answers) + 1
            order = str(asked["order"])
            self.entries[order] = self.entries.get(order, 0) + 1
        return web.json_response({"entry": self._answers[key]}, status=201)
