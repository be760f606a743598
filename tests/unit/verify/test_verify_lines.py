"""What the checker takes for a record, and what it does not."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from rco.audit import link
from rco.kit.canonical import canonical_json
from rco.kit.ids import Ids, id_text
from rco.model.effect import Attempt
from rco.verify import Options, Result, Unreadable, check, digests
from rco.verify.case import Ledger
from rco.verify.lines import LedgerLine
from rco.verify.options import TargetLimits
from rco.verify.sources import read_client, read_export, read_ledger

HEADER = {
    "line": "header",
    "format": "rco-export/1",
    "at_us": 1,
    "payloads": False,
    "head": {"n": 0, "hash": "00" * 32},
}
END = {"line": "end", "runs": 0, "segments": 0, "records": 0, "messages": 0, "links": 0}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_an_empty_export_is_one_and_nothing_applies(tmp_path: Path) -> None:
    verdict = check(read_export(written(tmp_path / "e", HEADER, END)), client=[], ledger=Ledger([]), targets={})
    assert {one.result for one in verdict.rules} == {Result.NOT_APPLICABLE}
    assert not verdict.failed


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ([], "empty"),
        ([END], "must begin with the one header"),
        ([HEADER, HEADER], "must begin with the one header"),
        ([{**HEADER, "format": "rco-export/2"}], "rco-export/2"),
        ([HEADER, {"line": "queue"}], "e:2"),
        ([HEADER, "{"], "e:2"),
        ([HEADER, {"line": "unread", "run": "x", "message_id": "m"}], "does not stand behind that run"),
        ([HEADER, {"line": "link", "n": "1"}], "e:2"),
    ],
)
def test_what_is_no_export(lines: list[Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=part):
        check(read_export(written(tmp_path / "e", *lines)))


def test_a_log_with_an_outcome_that_is_none(tmp_path: Path) -> None:
    path = written(tmp_path / "c", {"kind": "start", "outcome": "perhaps"})
    with pytest.raises(Unreadable, match="c:1"):
        list(read_client(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="gone"):
        list(read_export(tmp_path / "gone"))


def test_ledgers_are_told_apart_by_their_files(tmp_path: Path) -> None:
    one, two = (written(tmp_path / f"{name}.jsonl", {"kind": "seen", "at_us": 1}) for name in ("pay", "ship"))
    assert [line.target for line in read_ledger([one, two])] == ["pay", "ship"]
    assert [line.target for line in read_ledger([one])] == [""]


def test_the_digests_are_those_of_the_service() -> None:
    ids, source = Ids(), random.Random(5)
    for _ in range(50):
        run_id, data, seq = ids.uuid7(), source.randbytes(source.randrange(100)), source.randrange(1 << 40)
        run = id_text(run_id)
        assert digests.leaf_digest(run, seq, data) == link.leaf_digest(run_id, seq, data).hex()
        key = f"step é {seq}"
        assert digests.idempotency_key(run, key) == Attempt(run_id, key, 1).idempotency_key
        leaves = [source.randbytes(32) for _ in range(source.randrange(4))]
        numbers = {"n": source.randrange(1 << 60), "epoch": seq, "at_us": source.randrange(1 << 50)}
        prev = source.randbytes(32)
        given = digests.link_hash(
            prev=prev.hex(), writer="nöde", leaves=[leaf.hex() for leaf in leaves], decisions='[{"a":"é"}]', **numbers
        )
        own = link.link_hash(
            prev=prev, writer="nöde", leaves=b"".join(leaves), decisions='[{"a":"é"}]'.encode(), **numbers
        )
        assert given == own.hex()


def test_canonical_json_is_that_of_the_service() -> None:
    source = random.Random(7)
    numbers = [0.0, -0.0, 1.0, -1.5, 1e21, 1e-7, 123456.789, 1e300, 5e-324, 0.1, 100.0, 1e20, 12e-6]
    numbers += [source.uniform(-1, 1) * 10 ** source.randrange(-30, 30) for _ in range(2000)]
    for number in numbers:
        assert digests.canonical(number) == canonical_json(number), number
    value = {"b": [1, None, True, "é\n"], "a": {"€": 1, "\U0001f600": 2, "ﬀ": 3}, "": []}
    assert digests.canonical(value) == canonical_json(value)
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="no JSON form"):
            digests.canonical(bad)


# -- limits, by the microsecond ------------------------------------------------------------------------------------


def limits(lines: list[LedgerLine], declared: TargetLimits, **options: int) -> Result:
    verdict = check(
        read_export_of(HEADER, END),
        ledger=Ledger(lines),
        targets={"desk": declared},
        options=Options(rules="f", **options),
    )
    return verdict.rules[0].result


def read_export_of(*lines: Any) -> Any:
    import msgspec

    from rco.verify.lines import ExportLine

    return (msgspec.json.decode(json.dumps(line), type=ExportLine) for line in lines)


def request(at_us: int, until_us: int | None, number: int) -> list[LedgerLine]:
    begun = LedgerLine(kind="seen", at_us=at_us, target="desk", id=str(number))
    if until_us is None:
        return [begun]
    return [begun, LedgerLine(kind="answered", at_us=until_us, target="desk", id=str(number))]


def test_one_that_ends_as_another_begins_does_not_meet_it() -> None:
    alone = TargetLimits(concurrency=1)
    assert limits(request(0, 10, 1) + request(10, 20, 2), alone) is Result.PASS
    assert limits(request(0, 10, 1) + request(9, 20, 2), alone) is Result.FAIL
    assert limits(request(0, 10, 1) + request(9, None, 2), alone) is Result.FAIL
    assert limits(request(0, None, 1) + request(9, None, 2), alone) is Result.PASS


def test_a_caller_that_has_hung_up_no_longer_counts() -> None:
    lines = request(0, 900_000, 1) + request(600_000, 700_000, 2)
    assert limits(lines, TargetLimits(concurrency=1)) is Result.FAIL
    assert limits(lines, TargetLimits(concurrency=1, timeout_s=0.5)) is Result.PASS


def test_a_rate_is_held_to_its_burst() -> None:
    declared = TargetLimits(rate_per_s=10, burst=3)
    steady = [line for at in range(20) for line in request(at * 100_000, None, at)]
    assert limits(steady, declared, jitter_us=0) is Result.PASS
    assert limits([line for at in range(3) for line in request(0, None, at)], declared, jitter_us=0) is Result.PASS
    assert limits([line for at in range(4) for line in request(0, None, at)], declared, jitter_us=0) is Result.FAIL
    assert (
        limits([line for at in range(4) for line in request(0, None, at)], declared, jitter_us=100_000) is Result.PASS
    )


def test_limits_without_requests_are_not_known_to_be_kept() -> None:
    assert limits([], TargetLimits(concurrency=1)) is Result.UNKNOWN
    assert limits(request(0, 1, 1), TargetLimits()) is Result.NOT_APPLICABLE
