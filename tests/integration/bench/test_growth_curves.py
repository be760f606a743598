"""Every curve can be asked, at tiny sizes; and what databases are filled with is what the engine would have written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bench.app import WORKFLOWS
from bench.growth.curve import Point
from bench.growth.curves import NAMES, curve
from bench.growth.fill import closed_runs
from bench.service import count_rows
from tests.servers.postgres import PostgresServer

from rco.measure.rig import Rig
from rco.measure.scratch import scratch
from rco.operations.check_chain import check_chain
from rco.store.sqlite.snapshot import open_snapshot

ROOT = Path(__file__).parents[3]
SIZES = {"closed": "200", "length": "20", "payload": "102", "nodes": "2", "parked": "50", "timers": "50"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    started = PostgresServer()
    yield started
    started.stop()


@pytest.mark.parametrize(("name", "store"), [(name, store) for name in NAMES for store in curve(name).stores])
def test_a_curve_gives_every_line_at_every_size(name: str, store: str, tmp_path: Path, server: PostgresServer) -> None:
    dsn = server.dsn("postgres")
    done = subprocess.run(
        [sys.executable, "-m", "bench.growth.one", name, str(tmp_path), store, dsn, "0.02", SIZES[name]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    points = [msgspec.json.decode(line, type=Point) for line in done.stdout.splitlines()]
    assert sorted(one.line for one in points) == sorted(line.name for line in curve(name).lines)
    assert all(one.x == int(SIZES[name]) and one.value > 0 for one in points)


async def test_what_is_filled_in_stands_up_to_the_audit(tmp_path: Path) -> None:
    async with scratch(str(tmp_path / "rco.db")) as place:
        async with Rig(place, WORKFLOWS) as rig:
            await closed_runs(rig, 2_300)
        assert await count_rows(place, "closed_run WHERE outcome = 'completed'") == 2_301
        with open_snapshot(Path(place.where)) as snapshot:
            report = check_chain(snapshot)
        assert list(report.problems) == []
        # As from the engine: the start, and the step with the end.
        assert await count_rows(place, "journal") == 2 * 2_301
