"""The sender: it delivers as providers do, keeps a log of its own, and tries again when it got no answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from examples.orders.deliveries import Delivery, Keys, signed_headers
from examples.orders.records import Told

__all__ = ["Sender"]

_WAITS_S = (0.1, 0.2, 0.4, 0.8)
"""Between attempts that got no answer, or one that says "later"; the last is used again and again."""
_PATIENCE_S = 60.0


class Sender:
    """Sends deliveries to ``base_url``. ``on_told`` is called with each answer, in the order they came.

    Every request is a line in ``log`` (JSON lines), with status 0 where no answer came.
    """

    def __init__(self, base_url: str, keys: Keys, log: Path, on_told: Callable[[Told], None]) -> None:
        self._base_url, self._keys, self._on_told = base_url, keys, on_told
        self._log = log.open("a")

    async def send_all(self, plan: list[Delivery], *, at_once: int, per_s: float, last: asyncio.Event) -> None:
        """Send the plan, ``at_once`` deliveries at a time and about ``per_s`` a second, the last quarter of it not
        before ``last`` is set; then what is to come again."""
        timeout = aiohttp.ClientTimeout(total=10)
        room = asyncio.Semaphore(at_once)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as client,
            asyncio.TaskGroup() as group,
        ):
            for place, one in enumerate(plan):
                if 4 * place >= 3 * len(plan):
                    await last.wait()
                for _ in range(one.copies):
                    await room.acquire()
                    group.create_task(self._deliver(client, one)).add_done_callback(lambda _: room.release())
                await asyncio.sleep(1 / per_s)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            for one in plan:
                if one.again:
                    await self._deliver(client, one)
        self._log.flush()

    async def _deliver(self, client: aiohttp.ClientSession, one: Delivery) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        attempt = 0
        while True:
            told, again_s = await self._attempt(client, one)
            self._log.write(json.dumps(asdict(told)) + "\n")
            self._on_told(told)
            if again_s is None or time.monotonic() > give_up:
                return
            await asyncio.sleep(max(again_s, _WAITS_S[min(attempt, len(_WAITS_S) - 1)]))
            attempt += 1

    async def _attempt(self, client: aiohttp.ClientSession, one: Delivery) -> tuple[Told, float | None]:
        """One request: what was told, and after how many seconds to try again (``None``: the answer is final)."""
        headers = signed_headers(one, self._keys, datetime.now(UTC))
        began = time.perf_counter()
        try:
            async with client.post(
                f"{self._base_url}/webhooks/{one.provider}", data=one.body, headers=headers
            ) as answer:
                took_ms = (time.perf_counter() - began) * 1000
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as lost:
            return self._told(one, 0, type(lost).__name__), 0.0
        told = self._told(one, answer.status, body.get("reason", ""), body, took_ms)
        if answer.status in (429, 503):
            return told, float(answer.headers.get("Retry-After", "0"))
        return told, None

    def _told(
        self,
        one: Delivery,
        status: int,
        reason: str,
        body: dict[str, object] | None = None,
        took_ms: float = 0.0,
    ) -> Told:
        body = body or {}
        return Told(
            delivery=one.delivery,
            provider=one.provider,
            kind=one.kind,
            about=one.about,
            workflows=one.workflows,
            valid=one.valid,
            status=status,
            reason=reason,
            duplicate=bool(body.get("duplicate", False)),
            corr_id=str(body.get("corr_id", "")),
            took_ms=took_ms,
        )
