"""The verdict names what binds, and never what does not."""

from __future__ import annotations

from typing import Any

import pytest

from rco.measure.asks import Rate
from rco.measure.deployment import Seen
from rco.measure.verdict import judge


def rate(per_s: float, cores: float = 0.4, node_cores: float = 0.3) -> Rate:
    return Rate(per_s=per_s, cpu_s_per_1000=0.02, cores=cores, node_cores=node_cores, settings={})


def seen(**changes: Any) -> Seen:
    usual: dict[str, Any] = {
        "store": "sqlite",
        "kind": "file",
        "name": "there",
        "cores": 2,
        "load_before": 0.1,
        "load_after": 0.1,
        "file_system": "ext4",
        "server_here": True,
        "commit_ms": 0.3,
        "round_trip_ms": 0.0,
        "one_step_ms": 1.0,
        "one_step_cpu_ms": 0.5,
        "steps": rate(20_000),
        "bare_per_s": 100_000.0,
        "runs_per_s": 5_000.0,
        "flushes_per_s": 5_000.0,
        "figures": [],
    }
    return Seen(**{**usual, **changes})


def on_postgres(**changes: Any) -> Seen:
    return seen(**{"store": "postgresql", "kind": "database", "file_system": "", "flushes_per_s": 0.0, **changes})


@pytest.mark.parametrize(
    ("what", "binds"),
    [
        # 2 x 0.2 ms of 1 ms wait for the disk: most of it is work.
        (seen(), "cpu"),
        # A disk of a cloud: 2 x 8 ms of 17.
        (seen(flushes_per_s=125.0, one_step_ms=17.0), "fsync"),
        # The next region: 2 x 20 ms of 43, and the flush beside it is small.
        (on_postgres(round_trip_ms=20.0, commit_ms=21.0, one_step_ms=43.0), "network"),
        (on_postgres(round_trip_ms=0.1, commit_ms=5.0, one_step_ms=11.0), "fsync"),
        (on_postgres(round_trip_ms=0.02, commit_ms=0.3, one_step_ms=2.0), "cpu"),
    ],
)
def test_what_binds_one_run_at_a_time(what: Seen, binds: str) -> None:
    assert judge(what, events_per_s=1e6).latency == binds


@pytest.mark.parametrize(
    ("what", "binds", "word"),
    [
        (seen(steps=rate(20_000, 1.0, 0.98)), "cpu", "1.0 of its one core"),
        (on_postgres(steps=rate(20_000, 1.9, 0.7)), "cpu", "1.9 of 2 cores"),
        (seen(flushes_per_s=125.0), "fsync", "the flush of each commit"),
        (on_postgres(round_trip_ms=20.0, commit_ms=21.0, one_step_ms=43.0), "network", "the way to the database"),
        # Idle cores in our own account do not mean idle cores.
        (seen(load_after=6.0), "cpu", "others want the cores"),
    ],
)
def test_what_binds_many_runs(what: Seen, binds: str, word: str) -> None:
    verdict = judge(what, events_per_s=1e6)
    assert verdict.throughput == binds
    assert word in verdict.words[1]


def test_a_limit_that_binds_before_the_machine_is_named() -> None:
    assert judge(seen(), events_per_s=500).limits == ["limits.max_rps"]
    assert judge(seen(), events_per_s=10_000).limits == []


def test_what_makes_the_figures_worth_less_is_said() -> None:
    assert judge(seen(), events_per_s=1e6).warnings == []
    assert "nothing in it survives" in judge(seen(file_system="tmpfs"), events_per_s=1e6).warnings[0]
    assert "may answer before it has" in judge(seen(flushes_per_s=90_000.0), events_per_s=1e6).warnings[0]
    assert "Others worked here" in judge(seen(load_before=9.0), events_per_s=1e6).warnings[0]
    assert "runs elsewhere" in judge(on_postgres(server_here=False), events_per_s=1e6).warnings[0]
