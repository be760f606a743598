"""Every question can be asked, at a tiny size, and gives the lines that it announces. No figure is judged here."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bench.figure import Measured
from bench.question import STORES
from bench.questions import EVERY, question
from bench.rounds import pairs
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[3]
SCALE = "0.002"
MAY_BE_NOTHING = {
    *("limits", "parked-memory-each", "timers", "restart", "idle", "open_runs", "steps", "schedules"),
    *("mixed", "mixed_most", "bombs"),
}
"""What costs or differs by so little at this size that it cannot be seen."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    started = PostgresServer()
    yield started
    started.stop()


def ask(name: str, store: str, folder: Path, dsn: str) -> list[Measured]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.one", name, str(folder), SCALE, store, dsn],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=list[Measured])


@pytest.mark.parametrize(("name", "store"), pairs(EVERY, STORES))
def test_a_round_gives_every_line_it_announces(name: str, store: str, tmp_path: Path, server: PostgresServer) -> None:
    measured = ask(name, store, tmp_path, server.dsn("postgres"))
    if name == "pgbench" and not measured and not shutil.which("pgbench"):
        pytest.skip("this PostgreSQL came without pgbench")
    assert [one.name for one in measured] == [asked.name for asked in question(name).asked]
    for one in measured:
        assert math.isfinite(one.value), one
        assert one.value > 0 or not MAY_BE_NOTHING.isdisjoint((name, one.name)), one
    left = server.query("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'rco_bench%'")
    assert left == [], "a database was left behind"


@pytest.mark.parametrize("store", STORES)
def test_a_figure_says_what_was_on(store: str, tmp_path: Path, server: PostgresServer) -> None:
    settings = ask("one_step", store, tmp_path, server.dsn("postgres"))[0].settings
    if store == "sqlite":
        assert settings["synchronous"] == "FULL"
        assert settings["cpu"] == "node"
    else:
        assert (settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"]) == ("on", "on", "on")
        # Else the work that the database does for us would not be in the figure.
        assert settings["cpu"] == "node and database"
    assert settings["metrics"] == "on"
    assert settings["commits"] > 0


def test_a_question_on_both_stores_is_two_figures(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--rounds", "1", "--scale", SCALE, "--out", str(out), "one_step"],
        cwd=ROOT,
        capture_output=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = [one for one in json.loads(out.read_bytes()) if one["question"] == "one-step-p50"]
    assert [one["store"] for one in figures] == ["sqlite", "postgresql"]
    assert all(one["ratio"] > 0 and one["against"] == "bare-1" for one in figures)


def test_each_line_held_against_a_limit_names_one_that_is_measured() -> None:
    limits = {asked.name for name in EVERY if question(name).raw for asked in question(name).asked}
    for name in EVERY:
        for asked in question(name).asked:
            assert not asked.against or (asked.against in limits and asked.compare in ("rate", "wait", "cpu"))


def test_no_two_lines_share_a_name() -> None:
    lines = [asked.name for name in EVERY for asked in question(name).asked]
    assert len(lines) == len(set(lines))
