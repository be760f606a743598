"""Thousands of worlds in which everything goes wrong, and nothing breaks."""

from __future__ import annotations

import os

import pytest

from rco.testing.simulation import report, swarm

SEEDS = int(os.environ.get("RCO_SIM_SEEDS", "2000"))
FIRST = int(os.environ.get("RCO_SIM_FIRST", "0"))


@pytest.mark.timeout(SEEDS)
def test_no_world_breaks() -> None:
    broken = [report(seed, findings) for seed, findings in swarm(range(FIRST, FIRST + SEEDS), 2) if findings]
    assert not broken, f"{len(broken)} of {SEEDS} worlds broke:\n{''.join(broken)}"
