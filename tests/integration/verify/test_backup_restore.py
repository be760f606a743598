"""A backup taken under load is one moment of the database; a restore goes on from there, and nobody else does."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.verify.party import Downstream, Logged, Service

from rco.client import Client
from rco.errors import RcoError
from rco.verify import Options, check
from rco.verify.sources import read_export


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Downstream(tmp_path / "ledger.jsonl") as downstream:
        running = Service(tmp_path, downstream.port)
        assert running.rco("migrate").returncode == 0
        yield running
        running.kill()


async def load(service: Service, client: Client, started: dict[str, str]) -> None:
    """Starts runs for ever; what was acknowledged stands in ``started``."""
    logged = Logged(client, service.folder / "client.jsonl")
    for at in range(100_000):
        run_id = await logged.start("fan", f"load{at}")
        if not run_id:
            return
        started[f"load{at}"] = run_id


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def holds(service: Service, database: Path, name: str) -> None:
    """The export of ``database`` keeps the rules that need nothing else."""
    done = service.rco("export", "--payloads", "--store", str(database), name)
    assert done.returncode == 0, done.stderr
    verdict = check(read_export(service.folder / name), options=Options(rules="deh"))
    assert not verdict.failed, verdict.text()
    assert not verdict.unknown, verdict.text()


async def test_round_trip_under_load(service: Service) -> None:
    await service.start()
    started: dict[str, str] = {}
    async with Client(service.url, service.token) as client:
        loading = asyncio.create_task(load(service, client, started))
        while len(started) < 30:
            await asyncio.sleep(0.01)
        before = set(started)
        done = await asyncio.to_thread(service.rco, "backup", "day.db", "--json")
        assert done.returncode == 0, done.stderr
        # The service took no harm: it goes on to accept.
        count = len(started)
        while len(started) < count + 5:
            await asyncio.sleep(0.01)
        loading.cancel()
    manifest = json.loads(done.stdout)
    copy = service.folder / "day.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (service.folder / "day.db.manifest.json").stat().st_mode & 0o777 == 0o600
    assert {key for (key,) in rows(copy, "SELECT key FROM start_key")} >= before
    holds(service, copy, "day.jsonl")

    # A running service keeps its database; a stopped one that knows more keeps it too.
    said = await asyncio.to_thread(service.rco, "restore", "day.db")
    assert (said.returncode, "in use by process" in said.stderr) == (4, True), said
    await service.end()
    said = service.rco("restore", "day.db")
    assert (said.returncode, "is newer" in said.stderr) == (4, True), said
    newest = rows(service.database, "SELECT max(n) FROM seal")

    said = service.rco("restore", "day.db", "--force", "--json")
    assert said.returncode == 0, said.stderr
    restored = json.loads(said.stdout)
    assert restored["n"] == manifest["n"]
    assert rows(Path(restored["replaced"]), "SELECT max(n) FROM seal") == newest
    assert rows(service.database, "SELECT max(n) FROM seal") == [(manifest["n"] + 1,)]
    [(decisions,)] = rows(service.database, "SELECT decisions FROM seal ORDER BY n DESC LIMIT 1")
    assert json.loads(decisions)[0]["reason"] == "restored"

    # It goes on: every run of the backup closes, and the whole chain holds.
    await service.start()
    async with Client(service.url, service.token) as client:
        for key in before:
            assert (await client.wait(started[key], timeout_s=30)).state == "completed"
    await service.end()
    holds(service, service.database, "after.jsonl")


async def test_a_running_owner_is_fenced_by_a_forced_restore(service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        first = await client.start("gate", {}, key="first")
        done = await asyncio.to_thread(service.rco, "backup", "b.db")
        assert done.returncode == 0, done.stderr
        done = await asyncio.to_thread(service.rco, "restore", "b.db", "--force")
        assert done.returncode == 0, done.stderr
        with pytest.raises(RcoError):
            await client.start("gate", {}, key="second")
    assert service.process is not None
    assert await asyncio.to_thread(service.process.wait, 30) == 1
    assert rows(service.database, "SELECT key FROM start_key") == [("first",)]
    await service.start()
    async with Client(service.url, service.token) as client:
        assert (await client.run(first.id)).state in ("running", "waiting")
        assert (await client.start("gate", {}, key="second")).created
    await service.end()
    holds(service, service.database, "after.jsonl")


async def test_nothing_is_put_back_that_is_not_whole(service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        await client.start("gate", {}, key="first")
    await service.end(signal.SIGKILL)
    assert service.rco("backup", "good.db").returncode == 0
    before = service.database.read_bytes()
    assert service.rco("backup", "good.db").returncode == 4

    def refused(name: str, part: str, status: int = 6) -> None:
        said = service.rco("restore", name, "--force")
        assert (said.returncode, part in said.stderr) == (status, True), said
        assert service.database.read_bytes() == before
        assert not list(service.database.parent.glob("*.restore-*"))

    good, bad = service.folder / "good.db", service.folder / "bad.db"
    shutil.copy(good, bad)
    refused("bad.db", "manifest", 3)
    manifest = json.loads((service.folder / "good.db.manifest.json").read_text())
    beside = service.folder / "bad.db.manifest.json"

    beside.write_text(json.dumps(manifest))
    bad.write_bytes(good.read_bytes()[:-4096])
    refused("bad.db", "not what its manifest says")

    # Changed with care: digest and size fit, only the chain knows.
    shutil.copy(good, bad)
    with closing(sqlite3.connect(bad)) as connection:
        connection.execute("UPDATE journal SET data = zeroblob(length(data)) WHERE place = 1")
        connection.commit()
    from rco.store.sqlite.backup import file_digest

    beside.write_text(json.dumps({**manifest, "b3": file_digest(bad), "size_bytes": bad.stat().st_size}))
    refused("bad.db", "chain does not verify")

    shutil.copy(good, bad)
    beside.write_text(json.dumps({**manifest, "n": manifest["n"] + 1}))
    refused("bad.db", "not the one in its manifest")
    beside.write_text(json.dumps({**manifest, "format": "rco-backup/9"}))
    refused("bad.db", "rco-backup/9")


async def test_another_database_is_not_replaced_unasked(service: Service, tmp_path: Path) -> None:
    await service.start()
    await service.end()
    assert service.rco("backup", "one.db").returncode == 0
    service.database.unlink()
    assert service.rco("migrate").returncode == 0
    await service.start()
    await service.end()
    said = service.rco("restore", "one.db")
    assert said.returncode == 4, said
    assert "another chain" in said.stderr or "is newer" in said.stderr
    service.database.unlink()
    assert service.rco("restore", "one.db").returncode == 0
    service.database.write_bytes(b"no database at all" * 100)
    said = service.rco("restore", "one.db")
    assert (said.returncode, "cannot be read" in said.stderr) == (4, True), said
    assert service.rco("restore", "one.db", "--force").returncode == 0
    holds(service, service.database, "after.jsonl")
