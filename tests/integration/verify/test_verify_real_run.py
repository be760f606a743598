"""The records of a real run keep all nine rules; each planted violation is found under its own letter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.verify.three import Line, Three, load

from rco.verify import Options, Result, Verdict, check
from rco.verify.digests import idempotency_key
from rco.verify.sources import read_client, read_export


@pytest.fixture
def three(records: Path) -> Three:
    return load(records)


def result(verdict: Verdict, rule: str) -> tuple[Result, str]:
    [one] = [one for one in verdict.rules if one.rule == rule]
    return one.result, "\n".join((one.evidence, *one.findings))


def test_a_good_run_keeps_every_rule(three: Three, tmp_path: Path) -> None:
    verdict = three.verdict(tmp_path)
    results = {one.rule: one.result for one in verdict.rules}
    expected = dict.fromkeys("abcdefhi", Result.PASS) | {"g": Result.NOT_APPLICABLE}
    assert results == expected, verdict.text()
    assert len({line["epoch"] for line in three.lines("link")}) == 2


def test_digests_alone_leave_the_journal_unproven(records: Path, tmp_path: Path) -> None:
    verdict = check(read_export(records / "digests.jsonl"), client=read_client(records / "client.jsonl"))
    assert result(verdict, "h")[0] is Result.UNKNOWN
    assert result(verdict, "a")[0] is Result.PASS
    assert {result(verdict, rule)[0] for rule in "cf"} == {Result.UNKNOWN}
    assert "before0" not in "".join(
        line for line in (records / "digests.jsonl").read_text().splitlines(keepends=True) if '"line":"record"' in line
    )


def rco_verify(records: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = ("--client", "client.jsonl", "--ledger", "ledger.jsonl", "--targets", "targets.json", *arguments)
    return subprocess.run(
        [sys.executable, "-m", "rco", "verify", "export.jsonl", *given],
        cwd=records,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_a_line_a_rule_and_ends_with_a_status(records: Path) -> None:
    good = rco_verify(records)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line[:1] for line in good.stdout.splitlines()[:9]] == list("abcdefghi")
    broken = rco_verify(records, "--settled", "--json")
    assert broken.returncode == 6
    assert [one["rule"] for one in json.loads(broken.stdout)["rules"] if one["result"] == "FAIL"] == ["a"]
    unknown = subprocess.run(
        [sys.executable, "-m", "rco.verify", "export.jsonl", "--rules", "adf"],
        cwd=records,
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 1, unknown.stderr
    assert "f  UNKNOWN" in unknown.stdout


def test_the_checker_loads_nothing_of_what_it_checks() -> None:
    code = (
        "import sys, rco.verify.__main__;"
        "print(sorted(m for m in sys.modules if m.startswith('rco.') and not m.startswith('rco.verify')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


Spoil = Callable[[Three], None]
PLANTED: dict[str, tuple[str, Spoil]] = {}


def plant(rule: str) -> Callable[[Spoil], Spoil]:
    def keep(spoil: Spoil) -> Spoil:
        PLANTED[f"{rule}-{spoil.__name__}"] = rule, spoil
        return spoil

    return keep


# -- a: starts -----------------------------------------------------------------------------------------------------


@plant("a")
def closed_twice(three: Three) -> None:
    close = three.record("CLOSE", "order")
    three.export.insert(three.export.index(close) + 1, {**close, "seq": close["seq"] + 1})


@plant("a")
def acknowledged_run_is_gone(three: Three) -> None:
    gone = three.run("fan")["id"]
    three.export = [line for line in three.export if gone not in (line.get("id"), line.get("run"))]


@plant("a")
def one_key_two_runs(three: Three) -> None:
    first, second = [line for line in three.client if line["kind"] == "start" and line["workflow"] == "fan"][:2]
    second["name"] = first["name"]


@plant("a")
def other_outcome_than_the_journal(three: Three) -> None:
    three.run("declined")["outcome"] = "completed"


@plant("a")
def closed_without_a_close(three: Three) -> None:
    three.export.remove(three.record("CLOSE", "fan"))


@plant("a")
def opened_as_new_twice(three: Three) -> None:
    for line in three.client:
        if line.get("name") == "before0":
            line["created"] = True


@plant("a")
def delivery_began_nothing(three: Three) -> None:
    [line] = [line for line in three.client if line["kind"] == "deliver"]
    line["workflows"].append("survey")


@plant("a")
def delivery_never_accepted(three: Three) -> None:
    [line] = [line for line in three.client if line["kind"] == "deliver"]
    line["name"] = "msg_2"


# -- b: signals ----------------------------------------------------------------------------------------------------


@plant("b")
def signal_lost(three: Three) -> None:
    three.client.append(
        {"kind": "signal", "name": "go:9", "run_id": three.run("gate")["id"], "outcome": "acknowledged"}
    )


@plant("b")
def signal_taken_twice(three: Three) -> None:
    taken = three.record("MESSAGE", "gate")
    three.export.insert(three.export.index(taken) + 1, {**taken, "seq": taken["seq"] + 1})


@plant("b")
def unread_signal_lost(three: Three) -> None:
    [unread] = three.lines("unread")
    three.export.remove(unread)


@plant("b")
def taken_and_still_unread(three: Three) -> None:
    taken = three.record("MESSAGE", "gate")
    line = {"line": "unread", "run": taken["run"], "message_id": taken["body"]["message_id"]}
    three.export.insert(three.export.index(taken), line)


# -- c: effects ----------------------------------------------------------------------------------------------------


@plant("c")
def effect_lost(three: Three) -> None:
    step = three.lines("record", run=three.run("label")["id"], kind="STEP_END")[0]
    key = idempotency_key(step["run"], step["key"])
    three.ledger = [line for line in three.ledger if line.get("key") != key]


@plant("c")
def effect_lost_but_seen(three: Three) -> None:
    step = three.lines("record", run=three.run("label")["id"], kind="STEP_END")[0]
    key = idempotency_key(step["run"], step["key"])
    three.ledger = [line for line in three.ledger if line["kind"] != "effect" or line["key"] != key]


@plant("c")
def tried_once_done_twice(three: Three) -> None:
    [step] = three.lines("record", run=three.run("fulfil")["id"], kind="STEP_END")
    step["body"]["attempts"] = 1
    key = idempotency_key(step["run"], step["key"])
    for line in [line for line in three.ledger if line["kind"] in ("seen", "effect") and line["key"] == key]:
        three.ledger.append(line)


@plant("c")
def step_ended_twice(three: Three) -> None:
    step = three.record("STEP_END", "fan")
    three.export.insert(three.export.index(step) + 1, step)


# -- d: journals ---------------------------------------------------------------------------------------------------


@plant("d")
def record_missing(three: Three) -> None:
    three.export.remove(three.record("STEP_END", "order"))


@plant("d")
def segment_missing(three: Three) -> None:
    segments = three.lines("segment", run=three.run("order")["id"])
    three.export.remove(segments[1])


@plant("d")
def numbers_skip(three: Three) -> None:
    segment = three.lines("segment", run=three.run("fan")["id"])[-1]
    segment["first_seq"] += 1


@plant("d")
def epoch_goes_back_in_a_run(three: Three) -> None:
    last = three.lines("segment", run=three.run("gate")["id"])[-1]
    [link] = three.lines("link", n=last["n"])
    link["epoch"] = 0


@plant("d")
def written_in_no_commit(three: Three) -> None:
    three.lines("segment", run=three.run("fan")["id"])[-1]["n"] = 10**6


# -- e: timers -----------------------------------------------------------------------------------------------------


@plant("e")
def fired_early(three: Three) -> None:
    fired = three.record("TIMER_FIRED", "order")
    due_us = three.record("TIMER_SET", "order")["body"]["due_us"]
    fired["at_us"] = due_us - 1


@plant("e")
def fired_late(three: Three) -> None:
    # A run of the second life: its timers cannot be late because nobody owned it.
    last = three.lines("run", workflow="order")[-1]["id"]
    [fired] = three.lines("record", run=last, kind="TIMER_FIRED")
    fired["at_us"] += 6_000_000


@plant("e")
def fired_unset(three: Three) -> None:
    three.export.remove(three.record("TIMER_SET", "order"))


@plant("e")
def sent_before_the_sleep_was_over(three: Three) -> None:
    last = three.lines("run", workflow="order")[-1]["id"]
    [due] = three.lines("record", run=last, kind="TIMER_SET")
    step = three.lines("record", run=last, kind="STEP_END")[-1]
    key = idempotency_key(last, step["key"])
    for line in three.ledger:
        if line.get("key") == key and line["kind"] == "seen":
            line["at_us"] = due["body"]["due_us"] - 10


@plant("e")
def parked_and_forgotten(three: Three) -> None:
    run = three.run("patient")
    assert run["state"] == "waiting"
    # The waiting run is due in an hour; the export is made two hours later.
    three.lines("header")[0]["at_us"] += 2 * 3600 * 1_000_000


# -- f: limits -----------------------------------------------------------------------------------------------------


@plant("f")
def too_many_at_once(three: Three) -> None:
    three.targets["desk"]["concurrency"] = 1


@plant("f")
def one_more_at_once(three: Three) -> None:
    begun = [line for line in three.ledger if line["kind"] == "seen"][-1]
    for at in range(4):
        three.ledger.append({**begun, "id": f"x{at}", "key": ""})
        three.ledger.append({**begun, "kind": "answered", "id": f"x{at}", "at_us": begun["at_us"] + 1000})


@plant("f")
def too_many_a_second(three: Three) -> None:
    last = [line for line in three.ledger if line["kind"] == "seen"][-1]
    at_us = last["at_us"] + 10_000_000
    three.ledger += [{**last, "id": "", "key": "", "at_us": at_us + at} for at in range(82)]
    three.targets["desk"]["concurrency"] = None


# -- h: the chain --------------------------------------------------------------------------------------------------


@plant("h")
def decision_edited(three: Three) -> None:
    link = next(line for line in three.lines("link") if '"start"' in line["decisions"])
    link["decisions"] = link["decisions"].replace('"verb":"start"', '"verb":"cancel"', 1)


@plant("h")
def link_cut_out(three: Three) -> None:
    three.export.remove(three.lines("link")[3])


@plant("h")
def end_cut_off(three: Three) -> None:
    three.export.pop()


@plant("h")
def records_edited(three: Three) -> None:
    three.record("STEP_END", "order")["key"] = "another"


@plant("h")
def segment_bytes_edited(three: Three) -> None:
    first, second = three.lines("segment", run=three.run("order")["id"])[:2]
    first["data"] = second["data"]


@plant("h")
def leaf_not_sealed(three: Three) -> None:
    three.lines("segment", run=three.run("order")["id"])[0]["leaf"] = "00" * 32


@plant("h")
def whole_run_cut_out(three: Three) -> None:
    gone = three.run("fulfil")["id"]
    three.export = [line for line in three.export if gone not in (line.get("id"), line.get("run"))]
    # Its last line is made to fit: only the chain knows.
    three.export[-1] |= {
        "runs": len(three.lines("run")),
        "segments": len(three.lines("segment")),
        "records": len(three.lines("record")),
    }


# -- i: reads ------------------------------------------------------------------------------------------------------


def read_of(three: Three, workflow: str) -> Line:
    closed = three.run(workflow)["id"]
    return [line for line in three.client if line["kind"] == "read" and line["run_id"] == closed][-1]


@plant("i")
def open_again_after_it_was_closed(three: Three) -> None:
    last = read_of(three, "fan")
    three.client.append(
        {**last, "state": "running", "began_us": last["ended_us"] + 1, "ended_us": last["ended_us"] + 2}
    )


@plant("i")
def another_outcome_was_read(three: Three) -> None:
    read_of(three, "fan")["state"] = "failed"


@plant("i")
def closed_before_it_was(three: Three) -> None:
    last = read_of(three, "fan")
    at_us = three.record("CLOSE", "fan")["at_us"]
    last["began_us"], last["ended_us"] = at_us - 20, at_us - 10


@plant("i")
def value_that_never_was(three: Three) -> None:
    last = read_of(three, "order")
    last["values"] = {"stage": "lost"}


@plant("i")
def value_went_back(three: Three) -> None:
    last = read_of(three, "order")
    last["values"] = {"stage": "reserved"}


@plant("i")
def acknowledged_and_missing(three: Three) -> None:
    last = read_of(three, "fan")
    last["state"] = "missing"


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_planted_violation_is_found(name: str, three: Three, tmp_path: Path) -> None:
    rule, spoil = PLANTED[name]
    spoil(three)
    verdict = three.verdict(tmp_path)
    assert result(verdict, rule)[0] is Result.FAIL, verdict.text()


def test_each_rule_but_the_one_on_queues_has_two_violations() -> None:
    planted = [rule for rule, _ in PLANTED.values()]
    assert {rule for rule in "abcdefghi" if planted.count(rule) < 2} == {"g"}


def test_settled_demands_that_everything_is_closed(three: Three, tmp_path: Path) -> None:
    word, said = result(three.verdict(tmp_path, Options(settled=True)), "a")
    assert word is Result.FAIL
    assert three.run("patient")["id"] in said


def test_a_link_that_was_noted_outside(three: Three, tmp_path: Path) -> None:
    link = three.lines("link")[4]
    assert result(three.verdict(tmp_path, Options(link=(link["n"], link["hash"]))), "h")[0] is Result.PASS
    assert result(three.verdict(tmp_path, Options(link=(link["n"], "11" * 32))), "h")[0] is Result.FAIL
    assert result(three.verdict(tmp_path, Options(link=(10**6, link["hash"]))), "h")[0] is Result.FAIL
