"""``python -m bench`` as a command: what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_command_writes_a_list_of_objects(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench", "--rounds", "2", "--scale", "0.002", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--store", "sqlite", "--out", str(out), "one_step"],
        cwd=ROOT,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_bytes())
    assert [one["question"] for one in figures] == ["bare-1", "bare-100", "bare-1000", "one-step-p50", "one-step-p99"]
    for one in figures:
        assert {"question", "store", "value", "unit", "cpu_s_per_1000", "settings", "machine"} <= one.keys()
        assert one["rounds"] == 2
        assert one["lowest"] <= one["value"] <= one["highest"]
    assert figures[3]["ratio"] > 0
    assert list(tmp_path.glob("bench-*")) == [], "a folder was left behind"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["nothing"], "no question 'nothing'"), (["--rounds", "0"], "one round"), (["--out", "/no/where"], "no folder")],
)
def test_a_wrong_command_is_refused_before_anything_is_measured(arguments: list[str], word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert word in done.stderr
