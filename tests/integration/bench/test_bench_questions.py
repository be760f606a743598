"""Every question can be asked, at a tiny size, and gives the lines that it announces. No figure is judged here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bench.figure import Measured
from bench.questions import NAMES, question

ROOT = Path(__file__).parents[3]
SCALE = "0.002"


@pytest.mark.parametrize("name", NAMES)
def test_a_round_gives_every_line_it_announces(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.one", name, str(tmp_path), SCALE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = msgspec.json.decode(done.stdout, type=list[Measured])
    assert [one.name for one in measured] == [asked.name for asked in question(name).asked]
    for one in measured:
        assert math.isfinite(one.value), one
        assert one.value > 0 or name in ("parked", "timers"), one


def test_a_figure_says_what_was_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.one", "one_step", str(tmp_path), SCALE],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    settings = json.loads(done.stdout)[0]["settings"]
    assert settings["synchronous"] == "FULL"
    assert settings["metrics"] == "on"
    assert settings["commits"] > 0


def test_each_line_held_against_a_limit_names_one_that_is_measured() -> None:
    limits = {asked.name for name in NAMES if question(name).raw for asked in question(name).asked}
    for name in NAMES:
        for asked in question(name).asked:
            assert not asked.against or (asked.against in limits and asked.compare in ("rate", "wait", "cpu"))


def test_no_two_lines_share_a_name() -> None:
    lines = [asked.name for name in NAMES for asked in question(name).asked]
    assert len(lines) == len(set(lines))
