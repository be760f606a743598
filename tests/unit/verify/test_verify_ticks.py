"""A tick of a schedule has one run, and not before its time: what the checker says of those that break it."""

from __future__ import annotations

import pytest

from rco.verify.case import Case, Run
from rco.verify.lines import RunLine
from rco.verify.options import Options
from rco.verify.rules.starts import Starts
from rco.verify.rules.ticks import Ticks
from rco.verify.verdict import Findings

DUE_US = 1_800_000_000_000_000
TICK = "2027-01-15T08:00:00.000000Z"


def run(id: str = "r1", key: str | None = f"schedule:s:{TICK}", opened_us: int = DUE_US, **more: str) -> Run:
    return Run(RunLine(id=id, workflow="w", state="running", opened_us=opened_us, key=key, **more))


def found(*runs: Run) -> list[str]:
    findings = Findings()
    rule = Ticks(findings)
    for one in runs:
        rule.take(one)
    return list(findings.kept)


def test_what_keeps_it_is_not_mentioned() -> None:
    assert found(run(), run("r2", f"schedule:other:{TICK}"), run("r3", namespace="other"), run("r4", None)) == []
    assert found(run("r5", "schedule:s:trigger:r5", opened_us=1), run("r6", "orders:s", opened_us=1)) == []


def test_two_runs_of_one_tick_are_found() -> None:
    assert found(run(), run("r2")) == [f"tick {TICK} of schedule s has two runs, r1 and r2"]


def test_a_run_before_its_tick_is_found() -> None:
    assert found(run(opened_us=DUE_US - 7)) == [f"run r1 of w was opened 7 us before its tick {TICK}"]


@pytest.mark.parametrize("tick", ["", "soon", "2027-01-15T08:00:00"])
def test_a_key_that_names_no_tick_is_found(tick: str) -> None:
    assert "which names no tick" in found(run(key=f"schedule:s:{tick}"))[0]


def test_it_is_part_of_the_first_rule() -> None:
    rule = Starts(Case(Options(), None, None, None))
    for one in (run(), run("r2")):
        one.records.append(type("R", (), {"kind": "START", "body": {}})())
        rule.take(one)
    verdict = rule.finish()
    assert verdict.result.value == "FAIL"
    assert any("has two runs" in one for one in verdict.findings)
