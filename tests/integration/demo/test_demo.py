"""The demo passes on real processes over a kill, and would not pass if its records did not agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.orders.compare import DOUBLED, LOST, STRAY
from examples.orders.demo import judge, main
from examples.orders.world import stop_kept


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a demo that passed."""
    folder = tmp_path_factory.mktemp("demo") / "ran"
    assert main(orders=24, folder=folder) == 0
    yield folder
    stop_kept(folder)


@pytest.fixture
def records(ran: Path, tmp_path: Path) -> Path:
    """A copy of its records, to be spoilt."""
    copy = tmp_path / "records"
    copy.mkdir()
    for name in ("sender.jsonl", "evidence.jsonl"):
        shutil.copy(ran / name, copy / name)
    shutil.copytree(ran / "ledgers", copy / "ledgers")
    return copy


def kinds(records: Path) -> set[str]:
    result = judge(records)
    assert not result.passed
    return {finding.kind for finding in result.findings}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


@pytest.mark.timeout(180)
def test_the_records_agree(records: Path) -> None:
    result = judge(records)
    assert result.passed
    assert any(one.status == 0 for one in result.told), "nothing was sent while the service was down"
    assert {one.status for one in result.told} == {0, 202, 401, 403, 413}
    assert {run.workflow for run in result.evidence.runs.values()} == {"fulfil", "survey", "ship", "triage"}
    assert {one.effect for one in result.effects} >= {"reserved", "charged", "shipped", "released"}


def test_an_effect_without_its_line_is_lost(records: Path) -> None:
    ledger = records / "ledgers" / "shipping.jsonl"
    kept = lines(ledger)
    kept.remove(next(line for line in kept if json.loads(line)["kind"] == "done"))
    ledger.write_text("".join(kept))
    assert kinds(records) == {LOST}


def test_an_effect_that_stands_twice_is_doubled(records: Path) -> None:
    ledger = records / "ledgers" / "payments.jsonl"
    kept = lines(ledger)
    ledger.write_text("".join(kept) + next(line for line in kept if '"effect": "charged"' in line))
    assert kinds(records) == {DOUBLED}


def test_an_accepted_event_that_rco_does_not_know_is_lost(records: Path) -> None:
    log = records / "sender.jsonl"
    accepted = json.loads(next(line for line in lines(log) if json.loads(line)["status"] == 202))
    one = {**accepted, "delivery": "msg_planted", "corr_id": "C-planted", "kind": "order", "workflows": ["fulfil"]}
    log.write_text(log.read_text() + json.dumps(one) + "\n")
    assert kinds(records) == {LOST}


def test_an_answer_the_sender_never_saw_leaves_runs_astray(records: Path) -> None:
    log = records / "sender.jsonl"
    kept = [line for line in lines(log) if json.loads(line)["about"] != "issue-1"]
    log.write_text("".join(kept))
    assert kinds(records) == {STRAY}


@pytest.mark.parametrize("harm", ["cut", "edited", "shortened"])
def test_a_broken_chain_is_not_verified(records: Path, harm: str) -> None:
    evidence = records / "evidence.jsonl"
    kept = lines(evidence)
    if harm == "cut":
        del kept[5]
    elif harm == "shortened":
        del kept[-2:]
    else:
        kept = [line.replace('"reason":"sig_mismatch"', '"reason":"sig_missing"') for line in kept]
        assert kept != lines(evidence)
    evidence.write_text("".join(kept))
    result = judge(records)
    assert not result.verified
    assert not result.passed
