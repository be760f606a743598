"""Every rule can fail: each bug planted here is found within a few worlds, by the rule that is there for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted import (
    changes,
    content,
    engine,
    erasure,
    limits,
    ownership,
    payloads,
    queues,
    retention,
    schedules,
)
from tests.simulation.planted.planting import Plant

from rco.testing.plan import draw
from rco.testing.simulation import simulate

WITHIN = 150
PLANTED = [
    bug
    for each in (engine, ownership, changes, schedules, queues, limits, payloads, content, retention, erasure)
    for bug in each.PLANTED
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("plant", "rule", "where"), PLANTED, ids=lambda one: getattr(one, "__name__", None))
def test_a_planted_bug_is_found(
    plant: Plant, rule: str, where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    others: set[str] = set()
    changed = {name: value for name, value in where.items() if name not in ("nodes", "from")}
    first = where.get("from", 0)
    for seed in range(first, first + WITHIN):
        plan = draw(seed, where.get("nodes"))
        found = {finding.rule for finding in simulate(seed, plan=msgspec.structs.replace(plan, **changed)).findings}
        if rule in found:
            return
        others |= found
    pytest.fail(f"{plant.__name__} was not found by rule {rule} in {WITHIN} worlds; others found: {sorted(others)}")
