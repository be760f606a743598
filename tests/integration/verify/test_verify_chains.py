"""Several nodes, several chains: a good export keeps every rule, each planted violation breaks its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.verify.party import make_records
from tests.integration.verify.three import Line, Three, load

from rco.verify import Options, Result, Verdict


@pytest.fixture(scope="module")
def pg_records(tmp_path_factory: pytest.TempPathFactory, postgres_server: Any) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("chains")
    name = postgres_server.database()
    asyncio.run(make_records(folder, postgres_server.dsn(name)))
    yield folder
    postgres_server.drop(name)


@pytest.fixture
def three(pg_records: Path) -> Three:
    return load(pg_records)


def result(verdict: Verdict, rule: str) -> tuple[Result, str]:
    [one] = [one for one in verdict.rules if one.rule == rule]
    return one.result, "\n".join((one.evidence, *one.findings))


def test_a_good_export_of_two_nodes_keeps_every_rule(three: Three, tmp_path: Path) -> None:
    verdict = three.verdict(tmp_path)
    results = {one.rule: one.result for one in verdict.rules}
    assert results == dict.fromkeys("abcdefhi", Result.PASS) | {"g": Result.NOT_APPLICABLE}, verdict.text()
    chains = {line["chain"] for line in three.lines("link")}
    assert len({chain.rpartition("/")[0] for chain in chains}) == 2
    assert {one["chain"] for one in three.lines("header")[0]["chains"]} == chains
    assert verdict.head == three.lines("header")[0]["head"]["hash"]


Spoil = Callable[[Three], None]
PLANTED: dict[str, tuple[str, Spoil]] = {}


def plant(rule: str) -> Callable[[Spoil], Spoil]:
    def keep(spoil: Spoil) -> Spoil:
        PLANTED[f"{rule}-{spoil.__name__}"] = rule, spoil
        return spoil

    return keep


def moved(three: Three) -> tuple[Line, Line]:
    """The first and the last segment of a run that another node took over."""
    for run in three.lines("run"):
        segments = three.lines("segment", run=run["id"])
        nodes = [segment["chain"].rpartition("/")[0] for segment in segments]
        if nodes[0] != nodes[-1]:
            return segments[0], segments[-1]
    raise AssertionError("no run was taken over")


def retell(three: Three, chain: str, change: Callable[[str], str]) -> None:
    """Change what a chain says of its leases."""
    for link in three.lines("link", chain=chain):
        decisions = json.loads(link["decisions"])
        for one in decisions:
            if one.get("reason") == "leases":
                one["facts"]["leases"] = " ".join(map(change, one["facts"]["leases"].split()))
        link["decisions"] = json.dumps(decisions)


@plant("d")
def the_former_owner_wrote_once_more(three: Three) -> None:
    first, last = moved(three)
    # After the take-over, in a later link of its own chain, which is whole and says its lease.
    late = three.lines("link", chain=first["chain"])[-1]
    stale = {"chain": late["chain"], "n": late["n"]}
    following = last["first_seq"] + last["records"]
    record = three.lines("record", run=last["run"])[-1]
    three.export[three.export.index(record) + 1 : three.export.index(record) + 1] = [
        {**last, **stale, "first_seq": following, "records": 1},
        {**record, **stale, "seq": following},
    ]
    [run] = three.lines("run", id=last["run"])
    run["segments"] += 1


@plant("d")
def two_nodes_in_one_epoch(three: Three) -> None:
    first, last = moved(three)
    retell(three, last["chain"], lambda one: ":".join([one.split(":")[0], "1", one.split(":")[2]]))
    retell(three, first["chain"], lambda one: ":".join([one.split(":")[0], "1", one.split(":")[2]]))


@plant("d")
def epochs_of_a_shard_go_back(three: Three) -> None:
    _, last = moved(three)
    retell(three, last["chain"], lambda one: ":".join([one.split(":")[0], "0", one.split(":")[2]]))


@plant("d")
def nothing_says_under_which_lease(three: Three) -> None:
    _, last = moved(three)
    for link in three.lines("link", chain=last["chain"]):
        kept = [one for one in json.loads(link["decisions"]) if one.get("reason") != "leases"]
        link["decisions"] = json.dumps(kept)


@plant("d")
def a_link_of_another_chain_is_named(three: Three) -> None:
    _, last = moved(three)
    last["chain"] = "nobody/0"


@plant("e")
def fired_late_after_the_take_over(three: Three) -> None:
    last = three.lines("run", workflow="order")[-1]["id"]
    [fired] = three.lines("record", run=last, kind="TIMER_FIRED")
    fired["at_us"] += 6_000_000


@plant("h")
def a_whole_chain_is_gone(three: Three) -> None:
    first, _ = moved(three)
    three.export = [line for line in three.export if line["line"] != "link" or line["chain"] != first["chain"]]


@plant("h")
def the_end_of_one_chain_is_gone(three: Three) -> None:
    first, _ = moved(three)
    three.export.remove(three.lines("link", chain=first["chain"])[-1])


@plant("h")
def a_chain_is_gone_and_the_header_agrees(three: Three) -> None:
    first, _ = moved(three)
    a_whole_chain_is_gone(three)
    header = three.lines("header")[0]
    header["chains"] = [one for one in header["chains"] if one["chain"] != first["chain"]]


@plant("h")
def a_chain_under_another_name(three: Three) -> None:
    _, last = moved(three)
    for line in three.export:
        if line.get("chain") == last["chain"]:
            line["chain"] = "somebody/0"
    for one in three.lines("header")[0]["chains"]:
        if one["chain"] == last["chain"]:
            one["chain"] = "somebody/0"


@plant("h")
def a_segment_says_another_chain(three: Three) -> None:
    first, last = moved(three)
    first["chain"] = last["chain"]


@plant("h")
def a_lease_was_edited(three: Three) -> None:
    two_nodes_in_one_epoch(three)


@plant("h")
def one_hash_over_all_is_another(three: Three) -> None:
    three.lines("header")[0]["head"]["hash"] = "11" * 32


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_violation_is_found(name: str, three: Three, tmp_path: Path) -> None:
    rule, spoil = PLANTED[name]
    spoil(three)
    verdict = three.verdict(tmp_path)
    assert result(verdict, rule)[0] is Result.FAIL, verdict.text()


def test_a_link_that_was_noted_outside_is_of_its_chain(three: Three, tmp_path: Path) -> None:
    link = three.lines("link")[2]

    def noted(chain: str, hash: str) -> Result:
        options = Options(rules="h", link=(link["n"], hash), link_chain=chain)
        return result(three.verdict(tmp_path, options), "h")[0]

    assert noted(link["chain"], link["hash"]) is Result.PASS
    assert noted(link["chain"], "11" * 32) is Result.FAIL
    assert noted("", link["hash"]) is Result.FAIL


def test_limits_count_for_each_node_that_lives(three: Three, tmp_path: Path) -> None:
    assert result(three.verdict(tmp_path), "f")[0] is Result.PASS
    seen = [line for line in three.ledger if line["kind"] == "seen"]
    # Between the two lives, long after the first had ended: nobody else could have sent these.
    for place in range(3 * 2 + 1):
        three.ledger.append({**seen[-1], "id": f"x{place}", "key": "", "at_us": seen[-1]["at_us"] + 40_000_000})
        three.ledger.append({"kind": "answered", "id": f"x{place}", "at_us": seen[-1]["at_us"] + 41_000_000})
    assert result(three.verdict(tmp_path), "f")[0] is Result.FAIL
