"""Cursors: durable, and never going back."""

from __future__ import annotations

from typing import Any


async def test_a_cursor_moves_on_and_never_back(keeper: Any) -> None:
    reader = keeper.reader
    assert await reader.cursor("events/audit.event.v1/node/0") == 0
    await reader.move_cursor("events/audit.event.v1/node/0", 7)
    assert await reader.cursor("events/audit.event.v1/node/0") == 7
    await reader.move_cursor("events/audit.event.v1/node/0", 3)
    assert await reader.cursor("events/audit.event.v1/node/0") == 7
    await reader.move_cursor("events/audit.event.v1/node/0", 1 << 40)
    assert await reader.cursor("events/audit.event.v1/node/0") == 1 << 40
    assert await reader.cursor("another") == 0
