"""What the effects of ``order`` left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

__all__ = ["effects", "until_effects"]


def effects(ledger: Path) -> Counter[str]:
    """How often each effect ran. Empty when none did."""
    try:
        return Counter(ledger.read_text().splitlines())
    except FileNotFoundError:
        return Counter()


async def until_effects(ledger: Path, count: int) -> None:
    """Wait until ``count`` effects ran. Raises ``TimeoutError`` after a minute."""
    async with asyncio.timeout(60):
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < count:
            await asyncio.sleep(0.002)
