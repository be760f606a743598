"""Which node owns how many shards of a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bench.service import fetch
from rco.measure.scratch import Place

__all__ = ["SHARDS", "until_owned"]

SHARDS = 256
_OWNERS = "SELECT owner, count(*) FROM lease WHERE owner IS NOT NULL GROUP BY owner"


async def until_owned(place: Place, holds: Callable[[dict[str, int]], bool]) -> None:
    """Wait until ``holds`` of the shards by owner. Raises ``TimeoutError`` after a minute."""
    async with asyncio.timeout(60):
        while not holds({str(row[0]): int(row[1]) for row in await fetch(place, _OWNERS)}):
            await asyncio.sleep(0.01)
