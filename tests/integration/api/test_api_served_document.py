"""The description that a service answers with is the one that is checked in."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"


async def test_the_one_served_is_the_one_checked_in(served) -> None:
    status, headers, body = await served.call("GET", "/v1/openapi.json", token="viewer")
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert body == FILE.read_bytes()
