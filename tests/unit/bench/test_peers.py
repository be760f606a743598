"""The contract of the peers, and how answers come to figures, tables and reaches. Nothing is installed here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench.peers.__main__ import FILES, PAGE, chosen, main
from bench.peers.asking import SUITES
from bench.peers.contract import Counts, Peer, Unavailable
from bench.peers.environments import PINS, npm, venv
from bench.peers.page import number, page
from bench.peers.reaches import QUESTIONS, REACHES
from bench.peers.report import Report, figures, heard, judged

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "bench" / "peers"
MACHINE = {
    "date": "2026-01-01",
    "cpu": "x",
    "cores": 2,
    "memory_gib": 1,
    "kernel": "6",
    "file_system": "ext4",
    "python": "3",
    "sqlite": "3",
    "rco": "0",
    "commit": "c",
    "rounds": 2,
    "scale": 1.0,
    "took_s": 60,
    "load_before": 0.1,
    "load_after": 2.0,
    "postgres": {"server_version": "15", "fsync": "on", "file_system": "ext4"},
}


def peer(name: str, **more: Any) -> Peer:
    given: dict[str, Any] = {
        "kind": "durable",
        "durability": f"{name} flushes",
        "installed": "here",
        "prepare": lambda _: ("", {}),
        "packages": (),
    }
    return Peer(name=name, text=name.upper(), **{**given, **more})


OURS, DBOS, RESTATE = peer("ours", kind="ours"), peer("dbos-x"), peer("restate-x", declines={"timers": "has none"})


def steps(count: int = 1000, took_s: float = 1.0, cpu_s: float = 2.0) -> dict[str, Any]:
    return {
        "question": "steps-100",
        "count": count,
        "took_s": took_s,
        "cpu_s": cpu_s,
        "waits_ms": [],
        "settings": {"at_a_time": 100},
    }


def test_every_peer_states_what_a_reader_has_to_know() -> None:
    every = chosen("")
    assert len({one.name for _, one in every}) == len(every)
    for _, one in every:
        assert one.durability
        assert one.installed
        assert one.packages
        assert set(one.declines) <= {name for names in SUITES.values() for name in names}
        assert all(one.declines.values()), "a peer is not asked for a reason"


@pytest.mark.parametrize("file", [name for name in FILES if name != "ours"])
def test_every_environment_is_pinned(file: str) -> None:
    lines = (PINS / f"{file}.txt").read_text().splitlines()
    assert lines
    assert all("==" in line for line in lines)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_what_runs_in_a_peers_environment_needs_nothing_of_ours(path: Path) -> None:
    """Looked at as text: importing it here would find everything."""
    ours = {"running.py", "report.py", "page.py", "__main__.py", "ours.py", "ours_app.py"}
    if path.name in ours:
        return
    at_import = ast.parse(path.read_text()).body
    names = {
        name
        for node in at_import
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    served = path.stem.endswith(("_service", "_tasks", "_flows", "_app"))
    for name in names:
        inside = name.startswith("bench.peers.") or name == "bench.signing"
        assert inside or name.partition(".")[0] in sys.stdlib_module_names or served, f"{path.name} imports {name}"
        assert not name.startswith("rco"), f"{path.name} imports {name}"


def test_peers_are_chosen_by_file_or_name_and_ours_always_come_along() -> None:
    assert {one.name for _, one in chosen("dbos, restate-tuned")} == {
        "rco-sqlite",
        "rco-postgres",
        "dbos-sqlite",
        "dbos-postgres",
        "restate-tuned",
    }
    with pytest.raises(ValueError, match="no peer 'nobody'"):
        chosen("dbos,nobody")


def test_counts_shrink_together_and_never_to_nothing() -> None:
    small = Counts(runs=100, at_a_time=100, waits=50).scaled(0.01)
    assert (small.runs, small.at_a_time, small.waits) == (1, 1, 1)
    assert Counts().scaled(1.0) == Counts()


def test_one_answer_about_steps_is_a_rate_and_a_cost() -> None:
    rate, cost = heard("dbos-x", 0, steps(count=2000, took_s=4.0, cpu_s=3.0))
    assert (rate.question, rate.value, rate.cpu_s_per_1000) == ("steps-100", 500.0, 1.5)
    assert (cost.question, cost.value) == ("cpu", 1.5)


@pytest.mark.parametrize(("question", "value"), [("one-step", 50.0), ("timers", 99.0)])
def test_waits_come_to_the_percentile_of_the_question(question: str, value: float) -> None:
    line = {**steps(), "question": question, "count": 100, "waits_ms": [float(n) for n in range(1, 101)]}
    assert [one.value for one in heard("dbos-x", 0, line)] == [value]


@pytest.mark.parametrize("broken", [{"count": 0}, {"took_s": 0.0}, {"question": "timers", "waits_ms": []}])
def test_what_is_no_answer_is_not_taken_for_one(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no answer|nothing was measured"):
        heard("dbos-x", 0, {**steps(), **broken})


def test_a_failure_gives_no_figure_and_leaves_the_others_alone() -> None:
    answers = [
        *heard("ours", 0, steps(count=100_000)),
        *heard("dbos-x", 0, {"question": "steps-100", "failed": "TimeoutError: too slow"}),
    ]
    found = figures([OURS, DBOS, RESTATE], answers, {"restate-x": "npm is missing: it comes with Node.js"}, {})
    by = {(one.peer, one.question): one for one in found}
    assert by["ours", "steps-100"].value == 100_000
    for question in ("steps-100", "cpu"):
        assert by["dbos-x", question].value is None
        assert by["dbos-x", question].missing == "TimeoutError: too slow"
        assert by["restate-x", question].missing.startswith("npm is missing")
    assert ("ours", "webhooks") in by
    assert ("dbos-x", "webhooks") not in by, "an engine is not asked to receive webhooks"
    assert all(one.ratio is None and one.reached is None for one in judged(found))


def test_a_declined_question_says_why() -> None:
    found = figures([RESTATE], [], {}, {})
    assert {one.missing for one in found if one.question == "timers"} == {"has none"}


def test_one_failed_round_is_told_beside_the_median_of_the_others() -> None:
    answers = [
        *heard("dbos-x", 0, steps(count=100)),
        *heard("dbos-x", 1, {"question": "steps-100", "failed": "cut"}),
        *heard("dbos-x", 2, steps(count=300)),
    ]
    [one] = [one for one in figures([DBOS], answers, {}, {}) if one.question == "steps-100"]
    assert (one.value, one.by_round, one.failures) == (200, {0: 100.0, 2: 300.0}, ["cut"])
    assert "1 round failed: cut" in page(Report(machine=MACHINE, figures=[one], reaches=[]))


@pytest.mark.parametrize(("ours", "reached"), [(45_000, True), (44_999, False)])
def test_a_reach_is_held_against_the_best_of_those_named(ours: int, reached: bool) -> None:
    worse = peer("dbos-y")
    answers = [
        *heard("ours", 0, steps(count=ours)),
        *heard("dbos-x", 0, steps(count=500)),
        *heard("dbos-y", 0, steps(count=10)),
    ]
    [dbos] = [one for one in judged(figures([OURS, DBOS, worse], answers, {}, {})) if one.reach == "≥ 90 x DBOS"]
    assert (dbos.against, dbos.ratio, dbos.reached) == ("DBOS-X", ours / 500, reached)


@pytest.mark.parametrize(("cpu_s", "reached"), [(0.2, True), (0.23, False)])
def test_less_is_better_where_it_is(cpu_s: float, reached: bool) -> None:
    answers = [*heard("ours", 0, steps(cpu_s=cpu_s)), *heard("dbos-x", 0, steps(cpu_s=2.0))]
    [one] = [one for one in judged(figures([OURS, DBOS], answers, {}, {})) if one.question == "cpu"]
    assert one.reached is reached


def test_ratios_pair_rounds_that_ran_side_by_side() -> None:
    answers = [
        *(one for n, count in enumerate((9000, 90, 18_000)) for one in heard("ours", n, steps(count=count))),
        *(one for n, count in enumerate((100, 1, 100)) for one in heard("dbos-x", n, steps(count=count))),
    ]
    [dbos] = [one for one in judged(figures([OURS, DBOS], answers, {}, {})) if one.reach == "≥ 90 x DBOS"]
    assert dbos.ratio == 90


def test_every_reach_names_a_question_and_somebody() -> None:
    names, kinds = {one.name for _, one in chosen("")}, {one.kind for _, one in chosen("")}
    for bound in REACHES:
        assert bound.question in {asked.name for asked in QUESTIONS}
        for one in bound.peers:
            assert one in kinds or any(name == one or name.startswith(one.rstrip("*")) for name in names)


def test_the_page_says_who_is_missing_and_what_was_flushed() -> None:
    answers = [*heard("ours", 0, steps(count=100_000)), *heard("dbos-x", 0, steps(count=500))]
    found = figures([OURS, DBOS, RESTATE], answers, {"restate-x": "npm | is missing"}, {"dbos-x": {"dbos": "3.4.0"}})
    text = page(Report(machine=MACHINE, figures=found, reaches=judged(found)))
    assert "| DBOS-X | 500 | one round | 4.000 | dbos-x flushes |" in text
    assert "| RESTATE-X | none | | | npm / is missing |" in text
    assert "| ≥ 90 x DBOS | OURS | DBOS-X | 200.0 | reached |" in text
    assert "dbos 3.4.0" in text


def test_a_busy_machine_is_told() -> None:
    calm, busy = (page(Report(machine={**MACHINE, "load_before": load}, figures=[], reaches=[])) for load in (0.1, 4.0))
    assert "Others worked on this machine" in busy
    assert "Others worked on this machine" not in calm


def test_the_published_page_is_what_its_figures_come_to() -> None:
    source = PAGE.with_suffix(".json")
    assert page(msgspec.json.decode(source.read_bytes(), type=Report)) == PAGE.read_text()


def test_a_report_survives_being_written(tmp_path: Path) -> None:
    answers = [*heard("ours", 0, steps()), *heard("dbos-x", 1, steps(count=7))]
    found = figures([OURS, DBOS], answers, {}, {})
    report = Report(machine=MACHINE, figures=found, reaches=judged(found))
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_numbers_are_short() -> None:
    assert [number(one) for one in (12345.6, 99.94, 5.125, 0.0123)] == ["12 346", "99.9", "5.12", "0.012"]


def test_a_missing_client_is_a_reason_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="npm is missing"):
        npm(tmp_path, "restate", "anything")


def test_an_installation_that_fails_says_its_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho trying >&2; echo no such version >&2; exit 3\n")
    uv.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Unavailable, match="uv venv failed: no such version"):
        venv(tmp_path / "cache", "dbos")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--peers", "nobody"], "no peer 'nobody'"),
        (["--questions", "why"], "no question 'why'"),
        (["--rounds", "0"], "one round"),
        (["--out", "/no/where"], "no folder"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_installed(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert word in capsys.readouterr().err
