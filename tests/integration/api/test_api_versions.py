"""/v1/versions: who has which, and a verified move from beginning to end, over the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.conftest import decisions_of

from rco.app import build
from rco.client import Client
from rco.config.settings import ServerSettings, Settings
from rco.errors import ConfigInvalid, Conflict, Forbidden, Misuse, NotFound, Refused
from rco.kit.ids import Ids
from rco.model.principal import Principal, Role
from rco.model.wire_versions import MoveRuns, MoveView
from rco.operations.access import token_digest
from rco.store import migrate

APP = """
from rco.workflow import Context, workflow

async def note(text):
    return text

@workflow
async def ship(ctx: Context, order):
    told = [await ctx.step(note, f"packed {order}", name="pack")]
    await ctx.signal("go")
    told.append(await ctx.step(note, f"HOW {order}", name="send"))
    await ctx.signal("end")
    return told
"""

Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts services one after the other on one database."""
    apps: dict[str, str] = {}
    for name, how in (("v1", "posted"), ("v2", "couriered")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "app.py").write_text(APP.replace("HOW", how))
        apps[name] = str(folder / "app.py")
    data = tmp_path / "data"
    data.mkdir()
    migrate.up(data / "rco.db")

    @asynccontextmanager
    async def start(current: str, *names: str, **more: Any) -> AsyncIterator[tuple[Client, Client]]:
        settings = Settings(
            apps={name: apps[name] for name in names},
            app_version=current,
            data_dir=str(data),
            server=ServerSettings(bind_addr="127.0.0.1:0", metrics_addr="127.0.0.1:0"),
            **more,
        )
        service = await build(settings, environ={})
        await service.start()
        try:
            token = Ids().token(32)
            viewer = Principal(principal_id="viewer", name="viewer", role=Role.VIEWER)
            await service._desk.reader.add_principal(viewer, token_digest(token))
            admin = (data / "admin.token").read_text().strip()
            async with Client(service.url, admin) as client, Client(service.url, token) as looking:
                yield client, looking
        finally:
            await asyncio.shield(service.stop())

    return start


async def waits(client: Client, run_id: str, what: str) -> None:
    async with asyncio.timeout(10):
        while not any(entry.note == f"signal {what}" for entry in (await client.run(run_id)).timeline):
            await asyncio.sleep(0.01)


async def ended(client: Client, move_id: str) -> MoveView:
    await client.wait(move_id, timeout_s=30)
    return await client.move_at(move_id)


async def test_runs_are_moved_verified_and_the_rest_are_listed(serve: Serve) -> None:
    async with serve("v1", "v1") as (client, _):
        sent, waiting = [(await client.start("ship", order)).id for order in ("A", "B")]
        await client.signal(sent, "go")
        await waits(client, sent, "end")
        await waits(client, waiting, "go")
        [one] = (await client.versions()).items
        assert (one.name, one.current, one.open_runs, len(one.nodes)) == ("v1", True, 2, 1)
        assert (await client.run(sent)).version == "v1"
    async with serve("v2", "v1", "v2") as (client, viewer):
        found = {one.name: one for one in (await viewer.versions()).items}
        assert [found["v1"].open_runs, found["v2"].open_runs] == [2, 0]
        assert [found["v1"].current, found["v2"].current] == [False, True]
        assert found["v1"].digest != found["v2"].digest
        ask = MoveRuns(start="v1", to="v2")
        with pytest.raises(Forbidden):
            await viewer.move_runs(ask)
        tried = await ended(client, (await client.move_runs(MoveRuns(start="v1", to="v2", preview=True))).id)
        assert (tried.state, tried.preview, tried.count, tried.fit, tried.misfit) == ("completed", True, 2, 1, 1)
        assert {one.name: one.open_runs for one in (await viewer.versions()).items} == {"v1": 2, "v2": 0}
        started = await client.move_runs(MoveRuns(start="v1", to="v2", key="k", reason="courier is cheaper"))
        assert (await client.move_runs(MoveRuns(start="v1", to="v2", key="k"))).id == started.id
        at = await ended(viewer, started.id)
        assert (at.fit, at.misfit, at.busy, at.gone, at.ended) == (1, 1, 0, 0, "done")
        [stayed] = at.stayed
        assert (stayed.run_id, stayed.workflow, stayed.status) == (sent, "ship", "misfit")
        assert stayed.diff["recorded"]["key"] == "send"
        assert {one.name: one.open_runs for one in (await viewer.versions()).items} == {"v1": 1, "v2": 1}
        assert any(entry.kind == "version" for entry in (await client.run(waiting)).timeline)
        await client.signal(waiting, "go")
        for run_id in (sent, waiting):
            await client.signal(run_id, "end")
        assert (await client.wait(sent, timeout_s=10)).result == ["packed A", "posted A"]
        assert (await client.wait(waiting, timeout_s=10)).result == ["packed B", "couriered B"]
        told = await decisions_of(client)
        [moved] = [one for one in told if one["verb"] == "move"]
        assert (moved["run"], moved["facts"]["to"], moved["facts"]["move"]) == (waiting, "v2", started.id)
        assert moved["actor"].startswith("principal:")
        whole = [one["facts"] for one in told if one["verb"] == "bulk" and one["run"] == started.id]
        assert [one.get("fit") for one in whole] == [None, 1]
        assert not await _left(client)


async def _left(client: Client) -> list[str]:
    return [run.id for run in (await client.runs(state="blocked")).items]


async def test_what_cannot_be_moved_is_said_before_anything_begins(serve: Serve) -> None:
    async with serve("v1", "v1") as (client, _):
        with pytest.raises((NotFound, Refused, Misuse)):
            await client.move_runs(MoveRuns(start="v1", to="v2"))
        with pytest.raises((Misuse, Refused)):
            await client.move_runs(MoveRuns(start="v1", to="v1"))
        run = await client.start("ship", "A")
        with pytest.raises(NotFound):
            await client.move_at(run.id)


async def test_a_name_that_stands_for_other_code_is_refused_while_runs_are_pinned_to_it(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve("v1", "v1") as (client, _):
        run_id = (await client.start("ship", "A")).id
    app = tmp_path / "v1" / "app.py"
    app.write_text(app.read_text().replace("posted", "mailed"))
    with pytest.raises(ConfigInvalid, match="stands for other code"):
        async with serve("v1", "v1"):
            pass
    app.write_text(app.read_text().replace("mailed", "posted"))
    async with serve("v1", "v1") as (client, _):
        await client.terminate(run_id, "make room")
    app.write_text(app.read_text().replace("posted", "mailed"))
    async with serve("v1", "v1") as (client, _):
        assert (await client.versions()).items[0].open_runs == 0


async def test_a_version_that_no_node_has_is_listed_and_its_runs_wait(serve: Serve) -> None:
    async with serve("v1", "v1") as (client, _):
        run_id = (await client.start("ship", "A")).id
        await waits(client, run_id, "go")
    async with serve("v2", "v2") as (client, _):
        await client.signal(run_id, "go")
        await client.signal(run_id, "end")
        found = {one.name: one for one in (await client.versions()).items}
        assert (found["v1"].nodes, found["v1"].open_runs) == ([], 1)
        assert (await client.run(run_id)).state in ("running", "waiting")
    async with serve("v1", "v1") as (client, _):
        assert (await client.wait(run_id, timeout_s=10)).result == ["packed A", "posted A"]


async def test_a_waiting_run_can_be_terminated_and_says_by_whom(serve: Serve) -> None:
    async with serve("v1", "v1") as (client, _):
        run_id = (await client.start("ship", "A")).id
        await waits(client, run_id, "go")
    async with serve("v2", "v2") as (client, _):
        await client.terminate(run_id, "no longer wanted")
        view = await client.run(run_id)
        assert (view.state, view.error["message"]) == ("terminated", "no longer wanted")
        assert view.error["actor"].startswith("principal:")
        with pytest.raises(Conflict):
            await client.terminate(run_id)
