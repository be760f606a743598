"""A seed is a whole world: the same one gives the same, to the last callback, wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rco.testing.simulation import simulate

SEEDS = [3, 17, 42, 1058, 1587]
TELL = """
import sys
from rco.testing.simulation import simulate
for seed in sys.argv[1:]:
    print(simulate(int(seed)).digest)
"""


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    here = [simulate(seed).digest for seed in SEEDS]
    assert len(set(here)) == len(SEEDS)
    assert [simulate(seed).digest for seed in reversed(SEEDS)] == here[::-1]
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", TELL, *map(str, SEEDS)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == here


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_the_command_shows_what_happened(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rco.testing.simulation", "--seed", str(seed), "--verbose"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert simulate(seed).digest[:16] in done.stdout
    assert "commit" in done.stdout
