"""The comparison of the demo finds what it is there to find: each kind of loss and doubling is planted once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from examples.orders.compare import DOUBLED, LOST, STRAY, compare, percentiles
from examples.orders.records import Effect, Told, read_evidence
from rco.audit.chain import ChainSealer
from rco.audit.export import encode_line
from rco.audit.lines import FORMAT, Header, JournalLine, SealLine
from rco.audit.link import GENESIS
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.effect import Attempt
from rco.model.journal import Kind, Record, encode_record


def run_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def key(number: int, step: str) -> str:
    return Attempt(run_id(number), step, 1).idempotency_key


def journal(
    number: int, workflow: str, corr_id: str, steps: dict[str, bool], outcome: str, *, woken: bool = False
) -> bytes:
    at = number * 1000
    records = [Record(Kind.START, "", at, b"", {"workflow": workflow, "corr_id": corr_id})]
    records += [Record(Kind.STEP_END, step, at + 1, b"", [int(ok), {}, 1]) for step, ok in steps.items()]
    if woken:
        records.append(Record(Kind.MESSAGE, "wait", at + 2, b"", ["m", "order.fulfilled", {}]))
    if outcome:
        records.append(Record(Kind.CLOSE, "", at + 3 + 1000 * (workflow == "survey"), b"", [outcome, None]))
    return b"".join(encode_record(record) for record in records)


def told(delivery: str, about: str, corr_id: str, kind: str = "order", **more: object) -> Told:
    workflows = ("fulfil", "survey") if kind in ("order", "declined") else ()
    valid = kind in ("order", "declined", "push")
    fields: dict[str, object] = {"status": 202 if valid else 401, "took_ms": 1.0, **more}
    return Told(delivery, "shop", kind, about, workflows, valid, corr_id=corr_id, **fields)  # type: ignore[arg-type]


@dataclass
class World:
    """Two orders, one fulfilled and one declined, a duplicate, a lost answer and a forged one: all is well."""

    told: list[Told] = field(
        default_factory=lambda: [
            told("msg_1", "ord-1", "", status=0),
            told("msg_1", "ord-1", "C1"),
            told("msg_1", "ord-1", "C1", duplicate=True),
            told("msg_2", "ord-2", "C2", kind="declined"),
            told("msg_3", "ord-3", "C3", kind="forged", reason="UNAUTH"),
            told("msg_4", "push-1", "C4", kind="push"),
        ]
    )
    effects: list[Effect] = field(
        default_factory=lambda: [
            Effect("inventory", key(1, "POST inventory"), "reserved", "ord-1"),
            Effect("payments", key(1, "POST payments"), "charged", "ord-1"),
            Effect("shipping", key(3, "POST shipping"), "shipped", "ord-1"),
            Effect("inventory", key(4, "POST inventory"), "reserved", "ord-2"),
            Effect("payments", key(4, "POST payments"), "", "ord-2"),
            Effect("inventory", key(4, "undo/release"), "released", "ord-2"),
        ]
    )
    segments: list[tuple[int, bytes]] = field(
        default_factory=lambda: [
            (1, journal(1, "fulfil", "C1", {"POST inventory": True, "POST payments": True}, "completed")),
            (2, journal(2, "survey", "C1", {}, "completed", woken=True)),
            (3, journal(3, "ship", "C1", {"POST shipping": True}, "completed")),
            (
                4,
                journal(
                    4, "fulfil", "C2", {"POST inventory": True, "POST payments": False, "undo/release": True}, "failed"
                ),
            ),
            (5, journal(5, "survey", "C2", {}, "completed")),
        ]
    )

    def export(self) -> list[bytes]:
        sealer, prev, lines = ChainSealer(), GENESIS, []
        for n, (number, data) in enumerate(self.segments, 1):
            leaf = sealer.leaf(run_id(number), 0, data)
            decisions = [Decision(verb=Verb.START, at_us=n, run=id_text(run_id(number)))]
            seal = sealer.seal(writer="w", n=n, epoch=1, at_us=n, prev=prev, leaves=leaf, decisions=decisions)
            prev = seal.hash
            raw = msgspec.Raw(seal.decisions)
            lines.append(encode_line(SealLine(n, "w", 1, n, seal.prev.hex(), seal.hash.hex(), [leaf.hex()], raw)))
            lines.append(encode_line(JournalLine(n, id_text(run_id(number)), 0, data)))
        return [encode_line(Header(FORMAT, 1, len(self.segments), prev.hex(), True)), *lines]

    def findings(self) -> set[str]:
        return {finding.kind for finding in compare(self.told, self.effects, read_evidence(self.export()))}


def test_three_records_that_agree_give_no_finding() -> None:
    assert compare(World().told, World().effects, read_evidence(World().export())) == []


@pytest.mark.parametrize(
    ("kept", "kind"),
    [
        ([2, 3, 4, 5], LOST),  # fulfil of order 1 never began
        ([1, 3, 4, 5], LOST),  # survey of order 1 never began
        ([1, 2, 4, 5], STRAY),  # the parcel was shipped by nobody
    ],
)
def test_a_run_that_is_not_in_the_journal_is_found(kept: list[int], kind: str) -> None:
    world = World()
    world.segments = [segment for segment in world.segments if segment[0] in kept]
    assert kind in world.findings()


def test_an_accepted_event_that_started_nothing_is_lost() -> None:
    world = World()
    world.told.append(told("msg_9", "ord-9", "C9"))
    assert world.findings() == {LOST}


def test_a_valid_delivery_that_was_never_accepted_is_lost() -> None:
    world = World()
    world.told.append(told("msg_9", "ord-9", "C9", status=500, reason="INTERNAL"))
    assert world.findings() == {LOST}


def test_a_run_that_never_closed_is_lost() -> None:
    world = World()
    world.segments[4] = (5, journal(5, "survey", "C2", {}, ""))
    assert world.findings() == {LOST}


def test_an_order_that_is_fulfilled_without_a_charge_is_lost() -> None:
    world = World()
    del world.effects[1]
    assert world.findings() == {LOST}


def test_a_waiting_run_that_was_not_woken_is_lost() -> None:
    world = World()
    world.segments[1] = (2, journal(2, "survey", "C1", {}, "completed"))
    assert world.findings() == {LOST}


def test_stock_that_a_failed_order_did_not_give_back_is_lost() -> None:
    world = World()
    del world.effects[5]
    assert world.findings() == {LOST}


def test_an_order_that_failed_without_a_reason_of_business_is_lost() -> None:
    world = World()
    world.told[3] = replace(world.told[3], kind="order")
    assert world.findings() == {LOST}


def test_an_effect_that_happened_twice_under_one_key_is_doubled() -> None:
    world = World()
    world.effects.append(world.effects[1])
    assert world.findings() == {DOUBLED}


def test_an_effect_that_happened_twice_under_two_keys_is_doubled() -> None:
    world = World()
    world.segments[0] = (
        1,
        journal(
            1, "fulfil", "C1", {"POST inventory": True, "POST payments": True, "POST payments#1": True}, "completed"
        ),
    )
    world.effects.append(Effect("payments", key(1, "POST payments#1"), "charged", "ord-1"))
    assert world.findings() == {DOUBLED}


def test_an_event_that_started_two_runs_is_doubled() -> None:
    world = World()
    world.segments.append((6, journal(6, "fulfil", "C1", {}, "completed")))
    assert world.findings() == {DOUBLED}


def test_a_delivery_that_was_new_twice_is_doubled() -> None:
    world = World()
    world.told.append(told("msg_1", "ord-1", "C1"))
    assert world.findings() == {DOUBLED}
    world = World()
    world.told.append(told("msg_1", "ord-1", "C7", duplicate=True))
    assert world.findings() == {DOUBLED}


def test_a_run_that_closed_twice_is_doubled() -> None:
    world = World()
    world.segments.append((5, encode_record(Record(Kind.CLOSE, "", 1, b"", ["completed", None]))))
    assert world.findings() == {DOUBLED}


def test_what_nobody_asked_for_is_stray() -> None:
    world = World()
    world.segments.append((6, journal(6, "fulfil", "C3", {}, "failed")))  # the forged delivery began a run
    assert world.findings() == {STRAY}
    world = World()
    world.told.append(told("msg_9", "ord-9", "C9", kind="forged", status=202))
    assert world.findings() == {STRAY}
    world = World()
    world.effects.append(Effect("inventory", "a-key-of-nobody", "recount", "issue-1"))
    assert world.findings() == {STRAY}


def test_a_new_delivery_that_was_called_a_duplicate_is_stray() -> None:
    world = World()
    world.told.append(told("msg_5", "push-2", "C5", kind="push", duplicate=True))
    assert world.findings() == {STRAY}


def test_a_cut_or_an_edit_of_the_evidence_does_not_verify(tmp_path: Path) -> None:
    whole = World().export()
    edited = [*whole[:3], whole[3].replace(b'"at_us":2', b'"at_us":3'), *whole[4:]]
    assert edited != whole
    for name, lines, status in (("whole", whole, 0), ("cut", whole[:3] + whole[5:], 1), ("edited", edited, 1)):
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(b"".join(lines))
        command = [sys.executable, "-m", "rco.audit.verify", "--complete", str(file)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == status, name


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles([]) == (0.0, 0.0, 0.0)
    assert percentiles([float(n) for n in range(100)]) == (50.0, 95.0, 99.0)
