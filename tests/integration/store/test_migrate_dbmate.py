"""dbmate itself reads, applies and undoes the very same files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rco.store import migrate

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def dbmate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dbmate on this machine, or its npm package in a folder of its own."""
    if (found := shutil.which("dbmate")) is not None:
        return found
    if (npm := shutil.which("npm")) is None:
        pytest.skip("neither dbmate nor npm is on this machine")
    folder = tmp_path_factory.mktemp("dbmate")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "dbmate"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not bring dbmate within 90 s")
    if done.returncode != 0:
        pytest.skip("npm could not bring dbmate (no network?)")
    return str(folder / "node_modules" / ".bin" / "dbmate")


@pytest.fixture
def run(dbmate: str, tmp_path: Path):
    def call(verb: str, *more: str) -> str:
        command = [dbmate, "--url", f"sqlite:{tmp_path / 'rco.sqlite'}", "-d", "db/migrations/sqlite"]
        done = subprocess.run(
            [*command, "--no-dump-schema", verb, *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_what_dbmate_applied_rco_does_not_apply_again(run, tmp_path):
    path = tmp_path / "rco.sqlite"
    run("up")
    assert [one.applied for one in migrate.status(path)] == [True] * len(migrate.known())
    assert migrate.up(path) == []


def test_what_rco_applied_dbmate_does_not_apply_again(run, tmp_path):
    path = tmp_path / "rco.sqlite"
    migrate.up(path)
    assert "Pending: 0" in run("status")
    assert "Appl" not in run("up")
    newest = migrate.known()[-1].version
    assert newest in run("down")
    assert migrate.up(path) == [newest]
