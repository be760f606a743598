"""``rco drill`` as it is typed: lists, refuses what cannot be, writes its evidence, meets a deployment."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.drills.ledger import Ledger
from rco.drills.service import PROVIDER, OwnService

pytestmark = pytest.mark.timeout(240)


def rco(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rco", "drill", *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_drill_leaves_its_evidence_and_nothing_else(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = rco("run", "kill", "--short", "--rate", "30", "--json", cwd=tmp_path, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert {check["name"] for check in told["checks"]} >= {"reads", "recovery", "nothing lost", "done once", "evidence"}
    path = tmp_path / told["evidence"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    evidence: dict[str, Any] = json.loads(path.read_bytes())
    assert evidence["format"] == "rco-drill/1"
    assert [moment["what"] for moment in evidence["moments"]].count("killed") == 1
    assert "killed" in done.stderr
    assert list(temporary.iterdir()) == [], "a folder was left behind"


async def test_a_deployment_is_met_from_outside(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    async with Ledger() as ledger:
        service = OwnService(folder, ledger.url)
        try:
            await service.begin()
            (tmp_path / "put.token").write_text(service.token)
            meets = [
                *("--url", service.url, "--metrics-url", service.metrics_url, "--provider", PROVIDER),
                *("--secret", "env:THEIR_SECRET", "--token-file", str(service.data / "admin.token")),
                *("--put-token-file", str(tmp_path / "put.token"), "--short", "--rate", "40", "--json"),
            ]
            done = await _command(tmp_path, "run", "sender-skew", *meets, THEIR_SECRET=service.secret)
            assert done[0] == 0, done
            told = msgspec.json.decode(done[1])
            assert told["where"] == service.url
            states = {check["name"]: check["ok"] for check in told["checks"]}
            assert states["writes"]
            assert states["reads"]
            assert states["nothing lost"]
            assert states["counters"]
            # Where its calls go is not known, and its evidence is its own.
            assert (states["done once"], states["evidence"]) == (None, None)
            refused = await _command(tmp_path, "run", "kill", *meets, THEIR_SECRET=service.secret)
            assert refused[0] != 0
            assert "Run it without --url" in refused[2]
        finally:
            await service.stop()


async def _command(cwd: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    import asyncio

    done = await asyncio.to_thread(rco, *arguments, cwd=cwd, **environ)
    return done.returncode, done.stdout, done.stderr
