"""``rco bench`` on a user's own database: figures, a verdict, and nothing left or touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.postgres import PostgresServer

from rco.store import migrate

ASKED = {"bare-1", "bare-100", "one-step-p50", "one-step-p99", "steps-100", "runs-100"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    started = PostgresServer()
    yield started
    started.stop()


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rco", "bench", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "RCO_DATA_DIR": str(folder / "data")},
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["verdict"]["latency"] in ("cpu", "fsync", "network")
    assert found["verdict"]["throughput"] in ("cpu", "fsync", "network")
    assert len(found["verdict"]["words"]) == 3
    assert {one["question"] for one in found["seen"]["figures"]} >= ASKED
    assert all(one["value"] > 0 for one in found["seen"]["figures"])
    return found


def test_a_file_is_measured_beside_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "rco.db"
    path.parent.mkdir()
    migrate.up(path)
    before = path.read_bytes()
    found = told(bench(tmp_path, "--json", "--store", str(path)))
    assert found["seen"]["kind"] == "file"
    assert Path(found["seen"]["name"]).parent == path.parent.resolve()
    assert "fsync" in {one["question"] for one in found["seen"]["figures"]}
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["rco.db"]


def test_without_a_database_the_folder_above_is_measured(tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "One run at a time takes" in done.stdout
    assert "which is removed afterwards; yours is not touched" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_on_postgresql_it_works_in_a_database_of_its_own(tmp_path: Path, server: PostgresServer) -> None:
    name = server.database()
    found = told(bench(tmp_path, "--json", "--store", server.dsn(name)))
    assert found["seen"]["kind"] == "database"
    assert found["seen"]["server_here"] is True
    assert "round-trip" in {one["question"] for one in found["seen"]["figures"]}
    assert _left(server) == []
    assert server.query(name, "SELECT count(*) FROM closed_run")[0][0] == 0


def test_a_role_that_may_make_no_database_gets_a_schema_of_its_own(tmp_path: Path, server: PostgresServer) -> None:
    name = server.database()
    server.query("postgres", "CREATE ROLE plain LOGIN")
    dsn = server.dsn(name).replace("rco@", "plain@")
    refused = bench(tmp_path, "--store", dsn)
    assert refused.returncode == 1
    assert "neither a database nor a schema" in refused.stderr
    server.query("postgres", f"GRANT CREATE ON DATABASE {name} TO plain")
    found = told(bench(tmp_path, "--json", "--store", dsn))
    assert found["seen"]["kind"] == "schema"
    schemas = server.query(name, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rco_bench%'")
    assert schemas == []
    assert server.query(name, "SELECT count(*) FROM closed_run")[0][0] == 0


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = bench(tmp_path, "--store", "postgresql://rco:secret-word@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "secret-word" not in done.stderr


def _left(server: PostgresServer) -> list[Any]:
    return server.query("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'rco_bench%'")
