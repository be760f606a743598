"""``rco doctor`` and ``rco node`` beside a service and without one, on deployments that are well and that are not."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.integration.verify.party import Downstream, Logged, Service

from rco.client import Client


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Downstream(tmp_path / "ledger.jsonl") as downstream:
        running = Service(tmp_path, downstream.port)
        assert running.rco("migrate").returncode == 0
        yield running
        running.kill()


async def doctor(service: Service, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = await asyncio.to_thread(service.rco, "doctor", "--json", *arguments)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["ok"] == (done.returncode == 0)
    return done.returncode, {one["check"]: one for one in said["checks"]}


def results(found: dict[str, dict[str, Any]], *but: str) -> set[str]:
    return {name for name, one in found.items() if one["result"] in ("WARN", "FAIL") and name not in but}


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def test_a_deployment_that_is_well_running_and_stopped(service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        logged = Logged(client, service.folder / "client.jsonl")
        await logged.closed(await logged.start("order", "one"))
        status, found = await doctor(service)
        assert (status, results(found, "disk")) == (0, set()), found
        assert found["leases"]["found"].endswith(f"held by process {service.process.pid}")  # type: ignore[union-attr]
        listed = json.loads((await asyncio.to_thread(service.rco, "node", "list", "--json")).stdout)
        assert [(one["state"], one["shards"]) for one in listed] == [("running", 256)]
        done = await asyncio.to_thread(service.rco, "node", "drain")
        assert done.returncode == 0, done.stderr
        assert "draining" in done.stdout
        status, found = await doctor(service)
        assert (status, results(found, "disk")) == (0, {"service"})
    await service.end()
    status, found = await doctor(service)
    assert (status, results(found, "disk")) == (0, {"leases"}), found
    assert found["service"]["result"] == "UNKNOWN"
    listed = json.loads(service.rco("node", "list", "--json").stdout)
    assert [one["state"] for one in listed] == ["gone"]


async def test_each_trouble_has_its_line_and_its_cure(service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        gate = (await client.start("gate", {})).id
        patient = (await client.start("patient", {})).id
        while (await client.run(patient)).state != "waiting":
            await asyncio.sleep(0.02)
    await service.end(signal.SIGKILL)
    # Its process is gone, its note is still there.
    status, found = await doctor(service)
    assert (status, found["service"]["result"]) == (1, "FAIL")

    raw = {name: bytes.fromhex(run_id.replace("-", "")) for name, run_id in (("gate", gate), ("patient", patient))}
    detail = b'{"step": "charge"}'.hex()
    change(
        service.database,
        f"UPDATE run SET mode = 3, detail = x'{detail}' WHERE run_id = x'{raw['gate'].hex()}'",
        f"UPDATE timer SET due_us = 1 WHERE run_id = x'{raw['patient'].hex()}'",
        "INSERT INTO dead_letter VALUES (zeroblob(16), 'default', 's', 'c', 1, NULL, x'00')",
        "INSERT INTO staged_object VALUES ('content/aa/bb', 1, x'00')",
    )
    (service.folder / "data" / "admin.token").chmod(0o644)
    service.environ.pop("VERIFY_SECRET")
    status, found = await doctor(service)
    assert results(found, "disk", "leases") >= {
        *("runs in doubt", "timers", "dead letters", "content", "mode of admin.token", "secrets", "service")
    }
    assert f"rco run settle {gate} 'charge'" in found["runs in doubt"]["cure"]
    assert found["mode of admin.token"]["cure"] == f"chmod go= {service.folder}/data/admin.token"
    assert "VERIFY_SECRET" in found["secrets"]["found"]
    assert "1 small object(s) wait" in found["content"]["found"]

    change(service.database, f"UPDATE run SET mode = 2 WHERE run_id = x'{raw['gate'].hex()}'")
    change(service.database, f"UPDATE run SET mode = 0 WHERE run_id = x'{raw['patient'].hex()}'")
    status, found = await doctor(service, "--stuck", "1us")
    assert f"rco run retry {gate}" in found["blocked runs"]["cure"]
    assert patient in found["stuck runs"]["found"]


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (
            "UPDATE journal SET data = zeroblob(length(data)) WHERE place = (SELECT max(place) FROM journal)",
            "audit chain",
        ),
        ("UPDATE seal SET decisions = x'5B7B7D5D' WHERE n = 1", "audit chain"),
        ("DELETE FROM seal WHERE n = (SELECT max(n) - 1 FROM seal)", "audit chain"),
        ("UPDATE lease SET epoch = 7 WHERE shard = 3", "leases"),
        ("INSERT INTO schema_migrations VALUES ('99990101000000')", "database"),
    ],
)
async def test_what_was_tampered_with_fails(statement: str, check: str, service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        logged = Logged(client, service.folder / "client.jsonl")
        await logged.closed(await logged.start("order", "one"))
    await service.end()
    change(service.database, statement)
    status, found = await doctor(service)
    assert (status, found[check]["result"]) == (1, "FAIL"), found


async def test_without_a_database_and_with_a_bad_configuration(service: Service) -> None:
    service.database.unlink()
    status, found = await doctor(service)
    assert (status, found["database"]["result"]) == (1, "FAIL")
    service.database.write_bytes(b"no database" * 1000)
    status, found = await doctor(service)
    assert (status, found["database"]["result"]) == (1, "FAIL")
    service.config.write_text("nonsense: 1\n")
    status, found = await doctor(service)
    assert (status, found["configuration"]["result"]) == (1, "FAIL")
