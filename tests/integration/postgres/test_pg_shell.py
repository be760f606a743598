"""The command line on a PostgreSQL store: a service of its own process beside it, and none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.verify.party import Downstream, Logged, Service

from rco.client import Client


@pytest.fixture
async def service(tmp_path: Path, postgres_dsn: str) -> AsyncIterator[Service]:
    async with Downstream(tmp_path / "ledger.jsonl") as downstream:
        running = Service(tmp_path, downstream.port)
        running.environ |= {"RCO_STORE_PATH": postgres_dsn, "RCO_STORE_LEASE_TTL": "2s", "RCO_STORE_HEARTBEAT": "300ms"}
        running.environ |= {"RCO_STORE_LEASE_MARGIN": "400ms"}
        assert running.rco("migrate").returncode == 0
        yield running
        running.kill()


async def said(service: Service, *arguments: str) -> tuple[int, Any]:
    done = await asyncio.to_thread(service.rco, *arguments, "--json")
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


async def doctor(service: Service, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    status, told = await said(service, "doctor", *arguments)
    return status, {one["check"]: one for one in told["checks"]}


def troubles(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["result"] for name, one in found.items() if one["result"] in ("WARN", "FAIL") and name != "disk"}


async def test_a_deployment_that_is_well_killed_and_taken_over(service: Service) -> None:
    await service.start()
    async with Client(service.url, service.token) as client:
        logged = Logged(client, service.folder / "client.jsonl")
        await logged.closed(await logged.start("order", "one"))
    status, found = await doctor(service)
    assert (status, troubles(found)) == (0, {}), found
    assert "PostgreSQL" in found["database"]["found"]
    assert "fsync = on" in found["durability"]["found"]
    assert "2 chains" in found["audit chain"]["found"] or "1 chains" in found["audit chain"]["found"]
    [node] = (await said(service, "node", "list"))[1]
    assert (node["state"], node["shards"]) == ("running", 256)
    assert abs(node["skew_us"]) < 1_000_000
    assert found["leases"]["found"] == f"{node['node']} 256"

    assert service.process is not None
    service.process.kill()
    await asyncio.to_thread(service.process.wait)
    # Its lease counts until it has run out.
    while (await said(service, "node", "list"))[1][0]["state"] == "running":
        pass
    status, found = await doctor(service)
    # The note that it left behind leads to nobody.
    assert (status, troubles(found)) == (1, {"nodes": "WARN", "leases": "WARN", "service": "FAIL"})
    assert "256 of dead nodes" in found["leases"]["found"]
    await service.start()
    listed = (await said(service, "node", "list"))[1]
    assert [(one["state"], one["shards"]) for one in listed] == [("running", 256)]
    # The same node in another life.
    [again] = (await said(service, "node", "list", "--all"))[1]
    assert (again["node"], again["epoch"]) == (node["node"], node["epoch"] + 1)


async def test_a_node_hands_over_when_it_is_told_by_name(service: Service, tmp_path: Path) -> None:
    await service.start()
    [first] = (await said(service, "node", "list"))[1]
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", 1)
    second.environ = service.environ | {"RCO_DATA_DIR": str(tmp_path / "second" / "data")}
    try:
        await second.start()
        done = await asyncio.to_thread(service.rco, "node", "drain", first["node"])
        assert done.returncode == 0, done.stderr
        while True:
            listed = {one["node"]: one for one in (await said(service, "node", "list"))[1]}
            if listed[first["node"]]["shards"] == 0:
                break
        assert listed[first["node"]]["state"] == "draining"
        assert sum(one["shards"] for one in listed.values()) == 256
        nobody = await asyncio.to_thread(service.rco, "node", "drain", "nobody")
        assert nobody.returncode == 3
        assert first["node"] in nobody.stderr
        # Its service still answers, and places no run.
        async with Client(second.url, service.token) as client:
            assert (await client.start("gate", {}, key="g")).created
    finally:
        second.kill()


async def test_each_trouble_has_its_line_and_its_cure(
    service: Service, postgres_server: Any, postgres_database: str
) -> None:
    def change(statement: str) -> None:
        postgres_server.query(postgres_database, statement)

    await service.start()
    async with Client(service.url, service.token) as client:
        gate = (await client.start("gate", {})).id
        while (await client.run(gate)).state != "waiting":
            await asyncio.sleep(0.02)
    await service.end()
    raw = gate.replace("-", "")
    change(f"UPDATE timer SET due_us = 1 WHERE run_id = '\\x{raw}'")
    change(f"""UPDATE run SET mode = 3, detail = '{{"step": "charge"}}'::bytea WHERE run_id = '\\x{raw}'""")
    change(
        "INSERT INTO dead_letter VALUES ('\\x00000000000000000000000000000000', 'default', 's', 'c', 1, NULL, '\\x00')"
    )
    change("INSERT INTO rewind VALUES ('n/0', 1, 'n', 9, 7, '{1,2}')")
    change("UPDATE node SET skew_us = -2000000, alive_until = now() + interval '1 hour'")
    change("UPDATE journal SET data = data || '\\x00'")
    status, found = await doctor(service)
    assert status == 1
    assert troubles(found) == {
        "runs in doubt": "WARN",
        "dead letters": "WARN",
        "history": "FAIL",
        "clock skew": "WARN",
        "leases": "WARN",
        "audit chain": "FAIL",
    }, found
    assert f"rco run settle {gate} 'charge'" in found["runs in doubt"]["cure"]
    assert "rco store accept" in found["history"]["cure"]
    assert (await said(service, "store", "accept", "--reason", "seen"))[1] == {"accepted": ["n/0"]}
    again = await asyncio.to_thread(service.rco, "store", "accept", "--reason", "seen")
    assert again.returncode == 4
    change(f"UPDATE run SET mode = 2 WHERE run_id = '\\x{raw}'")
    change("UPDATE node SET skew_us = 20000000")
    status, found = await doctor(service)
    assert found["history"]["result"] == "PASS"
    assert found["clock skew"]["result"] == "FAIL"
    assert f"rco run retry {gate}" in found["blocked runs"]["cure"]
    change("UPDATE schema_migrations SET version = '99990101000000' WHERE version = (SELECT max(version) FROM"
           " schema_migrations)")  # fmt: skip
    status, found = await doctor(service)
    assert (status, found["database"]["result"]) == (1, "FAIL")


async def test_weeks_are_trimmed_from_the_shell(
    service: Service, postgres_server: Any, postgres_database: str, tmp_path: Path
) -> None:
    postgres_server.query(
        postgres_database,
        "CREATE TABLE journal_2001_01_01 PARTITION OF journal"
        " FOR VALUES FROM ('\\x00e3c7a73400') TO ('\\x00e3ebb3b800')",
    )
    [week] = (await said(service, "store", "trim", "--older-than", "90d", "--dry-run"))[1]
    assert (week["name"], week["first"], week["end"]) == ("journal_2001_01_01", "2001-01-01", "2001-01-08")
    assert (week["runs"], week["segments"], week["open"], week["dropped"]) == (0, 0, 0, False)
    done = await asyncio.to_thread(service.rco, "store", "trim", "--older-than", "90d")
    assert done.returncode == 0, done.stderr
    assert "dropped" in done.stdout
    assert (await said(service, "store", "trim", "--older-than", "90d"))[1] == []
    # It is in the chain, and doctor and verifier are content.
    assert troubles((await doctor(service))[1]).keys() <= {"nodes", "leases", "partitions"}
    assert (await asyncio.to_thread(service.rco, "export", "--payloads", "e.jsonl")).returncode == 0
    assert '"verb":"trim"' in (service.folder / "e.jsonl").read_text().replace("\\", "")
    verified = await asyncio.to_thread(service.rco, "verify", "e.jsonl", "--rules", "dh")
    assert verified.returncode == 0, verified.stdout
    for arguments in (("--older-than", "soon"), ("--older-than", "1d", "--store", str(tmp_path / "file.db"))):
        assert (await asyncio.to_thread(service.rco, "store", "trim", *arguments)).returncode == 2


async def test_what_needs_a_file_says_which_tool_is_the_right_one(service: Service) -> None:
    for arguments in (("backup", "b.db"), ("restore", "b.db")):
        done = await asyncio.to_thread(service.rco, *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert all(word in done.stderr for word in ("pg_basebackup", "pg_dump", "rco doctor", "rco verify"))


async def test_a_server_that_is_not_there(service: Service) -> None:
    service.environ["RCO_STORE_PATH"] = "postgresql://rco:hush@127.0.0.1:1/none"
    status, found = await doctor(service)
    assert (status, found["database"]["result"]) == (1, "FAIL")
    for arguments in (("export", "e.jsonl"), ("node", "list"), ("store", "accept", "--reason", "r")):
        done = await asyncio.to_thread(service.rco, *arguments)
        assert done.returncode == 1, done
        assert done.stderr.startswith("rco: ")
        assert "hush" not in done.stderr + done.stdout
