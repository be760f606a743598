"""Leases of pools: a run of a version is judged by those of its version, before and after it was moved."""

from __future__ import annotations

import json
import uuid
from typing import Any

from rco.verify.case import Case, Run
from rco.verify.lines import Link, Node, RecordLine, RunLine, SegmentLine
from rco.verify.options import Options
from rco.verify.rules.journals import Journals
from rco.verify.verdict import Result

RUN = str(uuid.UUID(int=7))


def link(chain: str, n: int, **facts: str) -> Link:
    told = [{"verb": "node", "reason": "leases", "facts": {"leases": "", **facts}}] if facts else []
    return Link(
        n=n,
        writer=chain,
        epoch=1,
        at_us=n,
        prev="",
        hash="",
        leaves=[],
        decisions=json.dumps(told),
        chain=chain,
    )


def record(seq: int, chain: str, n: int, kind: str = "STEP_END", **body: Any) -> RecordLine:
    return RecordLine(run=RUN, seq=seq, kind=kind, key="", fp="", at_us=seq, body=body, chain=chain, n=n)


def said(links: list[Link], records: list[RecordLine], version: str) -> tuple[Result, list[str]]:
    case = Case(Options(), None, None, None)
    case.owners.take_node(Node(name="a", epoch=1, started_us=1))
    for one in links:
        case.owners.take_link(one, json.loads(one.decisions))
    run = Run(RunLine(id=RUN, workflow="w", state="running", opened_us=1, version=version, segments=len(records)))
    for one in records:
        run.segments.append(SegmentLine(run=RUN, first_seq=one.seq, records=1, chain=one.chain, n=one.n, leaf=""))
        run.records.append(one)
    case.decided[RUN] = ["start", *["move" for one in records if one.kind == "VERSION"]]
    rule = Journals(case)
    rule.take(run)
    verdict = rule.finish()
    return verdict.result, list(verdict.findings)


START = {"kind": "START", "version": "@v1"}
LINKS = [link("a/0", 1, pools="v1/7:5:1"), link("b/0", 1, pools="v2/7:2:1"), link("b/0", 2, pools="v1/7:6:2")]


def test_epochs_of_one_pool_are_not_those_of_another() -> None:
    moved = record(1, "a/0", 1, "VERSION", **{"from": "@v1", "to": "@v2"})
    records = [record(0, "a/0", 1, **START), moved, record(2, "b/0", 1)]
    assert said(LINKS, records, "@v2") == (Result.PASS, [])


def test_who_lost_a_pool_writes_no_more() -> None:
    records = [record(0, "a/0", 1, **START), record(1, "b/0", 2), record(2, "a/0", 1)]
    result, findings = said(LINKS, records, "@v1")
    assert result is Result.FAIL
    assert any("has epoch 5, after epoch 6" in one for one in findings), findings


def test_a_lease_of_another_version_is_none() -> None:
    records = [record(0, "a/0", 1, **START), record(1, "b/0", 1)]
    result, findings = said(LINKS, records, "@v1")
    assert any("says no lease of its shard" in one for one in findings), (result, findings)


def test_a_run_may_be_opened_by_who_does_not_own_it() -> None:
    opened = [link("c/0", 1), *LINKS]
    records = [record(0, "c/0", 1, **START), record(1, "a/0", 1)]
    assert said(opened, records, "@v1") == (Result.PASS, [])
    records = [record(0, "a/0", 1, **START), record(1, "c/0", 1)]
    assert said(opened, records, "@v1")[0] is Result.FAIL


def test_before_there_were_pools_a_version_had_the_shards_of_all() -> None:
    links = [link("a/0", 1, leases="7:9:1"), link("b/0", 1, pools="v1/7:1:5")]
    records = [record(0, "a/0", 1, **START), record(1, "b/0", 1)]
    assert said(links, records, "@v1") == (Result.PASS, [])
