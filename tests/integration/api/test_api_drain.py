"""Draining: no new work, what is open goes on, and everybody can see it."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from rco.errors import Forbidden, Overloaded


async def ready(url: str) -> tuple[int, list[str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        return answer.status, json.loads(await answer.read())["missing"]


async def test_a_draining_node_takes_no_new_work_and_finishes_what_it_has(served) -> None:
    open_run = await served.admin.start("ask", {}, key="before")
    assert await ready(served.url) == (200, [])
    assert not (await served.admin.info()).draining

    said = await served.admin.drain()
    assert said.draining
    assert sum(said.open_runs.values()) == 1
    assert await ready(served.url) == (503, ["not_draining"])
    for key in ("before", "after"):
        with pytest.raises(Overloaded, match="draining"):
            await served.admin.start("ask", {}, key=key)
    async with aiohttp.ClientSession() as session, session.post(f"{served.url}/webhooks/shop", data=b"{}") as answer:
        assert (answer.status, (await answer.json())["reason"]) == (503, "BACKPRESSURE")

    assert (await served.admin.drain()).draining
    await served.admin.signal(open_run.id, "answer", 42)
    closed = await served.admin.wait(open_run.id, timeout_s=20)
    assert (closed.state, closed.result) == ("completed", 42)
    pieces = [piece async for piece in served.admin.export_audit()]
    links = [json.loads(line) for line in b"".join(pieces).splitlines()[1:]]
    decided = [
        one for link in links for one in link["decisions"] if (one["verb"], one.get("reason")) == ("node", "draining")
    ]
    assert [one["actor"] for one in decided] == ["principal:admin"]


async def test_only_an_administrator_drains(served) -> None:
    for client in (served.operator, served.viewer):
        with pytest.raises(Forbidden):
            await client.drain()
    assert await ready(served.url) == (200, [])
    await asyncio.wait_for(served.admin.start("ask", {}), 20)
