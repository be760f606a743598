"""Every drill in its short form holds, on a real service; and with something planted that breaks its promise, it says
which."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.servers.postgres import PostgresServer

from rco.drills import running
from rco.drills.drill import Drill
from rco.drills.drills import NAMES, drill
from rco.drills.load import Load
from rco.drills.running import Report, run_drill
from rco.drills.size import SHORT, Size
from rco.drills.stage import Moment, Stage

pytestmark = pytest.mark.timeout(240)
replace = msgspec.structs.replace
SMALL = replace(SHORT, rate_per_s=40, calm_s=2, fault_s=3, after_s=1)
HASTY = replace(SMALL, calm_s=1, fault_max_s=8)
"""For what is to fail: it does not wait for long."""


async def carried_out(one: Drill, size: Size, folder: Path, store: str = "") -> Report:
    def tell(moment: Moment) -> None:
        print(f"{moment.at_s:6.1f} s {moment.what}")  # noqa: T201 - shown with what failed

    return await run_drill(one, size, folder, tell, store=store)


def told(report: Report) -> str:
    return "\n".join(f"{check.ok} {check.name}: must {check.must}; found {check.found}" for check in report.checks)


@pytest.mark.parametrize("name", NAMES)
async def test_a_drill_holds(name: str, tmp_path: Path) -> None:
    report = await carried_out(drill(name), SMALL, tmp_path)
    assert report.ok, told(report)
    assert all(check.ok for check in report.checks), told(report)
    assert report.recovery_s is not None
    assert [came for came in report.came if came.phase.startswith("fault") and came.asked]
    # What is handed on holds no secret.
    text = msgspec.json.encode(report).decode()
    assert "whsec_" not in text
    assert "Bearer" not in text


@pytest.mark.parametrize("name", ["slow-upstream", "kill"])
async def test_a_drill_holds_on_postgresql(name: str, tmp_path: Path, postgres_server: PostgresServer) -> None:
    report = await carried_out(drill(name), SMALL, tmp_path, postgres_server.dsn("postgres"))
    assert report.ok, told(report)
    assert report.where == "PostgreSQL"
    left = postgres_server.query("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'rco_bench%'")
    assert left == [], "a database was left behind"


async def _nothing(_: Stage) -> None:
    """The fault goes on."""


async def _restored(stage: Stage) -> None:
    """A database that is put back while the service is down, and its content removed: what came after the one, and all
    of the other, is lost though it was acknowledged."""
    service = stage.own
    await service.kill()
    copies = {path: path.read_bytes() for path in service.data.glob("rco.db*")}
    await service.begin()
    taken = len(stage.seconds)
    await stage.until(lambda: len(stage.seconds) > taken + 2, 30)
    await service.kill()
    stage.kills += 1
    stage.moment("killed")
    for path in service.data.glob("rco.db*"):
        path.unlink()
    for path, data in copies.items():
        path.write_bytes(data)
    shutil.rmtree(service.data / "objects" / "content")
    await service.begin()


def _settings(**sections: dict[str, Any]) -> Callable[[Size], dict[str, dict[str, Any]]]:
    return lambda _: sections


def _calm(size: Size) -> Load:
    return Load(phase="fault", rate_per_s=size.rate_per_s)


OFF = _settings(brownout={"enabled": False})
WIDE = _settings(limits={"max_rps": 100_000, "burst_rps": 100_000})
PLANTED = [
    ("a sentinel that refuses nothing", "slow-upstream", {"settings": OFF}, {"writes"}),
    ("errors that nobody counts", "failing-upstream", {"settings": OFF}, {"writes"}),
    ("a queue without a bound", "queue-saturation", {"settings": _settings()}, {"writes"}),
    ("a bucket without a bottom", "burst", {"settings": WIDE}, {"writes"}),
    ("no wrong clocks", "sender-skew", {"under": _calm}, {"writes"}),
    ("a clock that stays wrong", "process-skew", {"lift": _nothing}, {"recovery"}),
    ("commits and content that are lost", "kill", {"strike": _restored}, {"reads", "nothing lost"}),
]


@pytest.mark.parametrize(
    ("name", "plant", "found"), [one[1:] for one in PLANTED], ids=[one[0].replace(" ", "-") for one in PLANTED]
)
async def test_what_is_planted_is_found(
    name: str, plant: dict[str, Any], found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "RECOVERY_MAX_S", 12.0)
    monkeypatch.setattr(running, "SETTLE_S", 5.0)
    report = await carried_out(replace(drill(name), **plant), HASTY, tmp_path)
    broken = {check.name for check in report.checks if check.ok is False}
    assert not report.ok
    assert found <= broken, told(report)
