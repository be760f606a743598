"""What of the PostgreSQL keeper needs no server."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from rco.audit.chain import ChainSealer
from rco.errors import Overloaded
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.event import Event
from rco.store.collector import Batch
from rco.store.contract.changes import Changes, Draft
from rco.store.judge import Held
from rco.store.migration import known
from rco.store.postgres.flush import FLUSH, Chain, ShardsLost, prepare
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership, winner


class Clock:
    at_s = 100.0

    def now_us(self) -> int:
        return 1

    def monotonic(self) -> float:
        return self.at_s


def test_a_node_that_comes_or_goes_moves_only_its_own_share() -> None:
    two = [winner(shard, ["a", "b"]) for shard in range(256)]
    three = [winner(shard, ["a", "b", "c"]) for shard in range(256)]
    assert {now for was, now in zip(two, three, strict=True) if was != now} == {"c"}
    assert [winner(shard, ["c", "b", "a"]) for shard in range(256)] == three
    assert all(50 < three.count(node) < 120 for node in "abc")
    assert winner(1, []) is None


def test_new_runs_are_placed_on_owned_shards_and_spread_over_them() -> None:
    ownership = NodeOwnership(Clock())
    with pytest.raises(Overloaded):
        ownership.place(9)
    ownership.gain({3: 1, 9: 1, 200: 1})
    placed = [ownership.place(byte) for byte in range(256)]
    assert {3, 9, 200} == set(placed)
    assert ownership.place(9) == 9
    assert all(placed.count(shard) > 60 for shard in (3, 9, 200))


def test_what_leaves_may_be_flushed_and_not_begun_and_what_is_lost_neither() -> None:
    ownership = NodeOwnership(Clock())
    told: list[tuple[str, frozenset[int]]] = []
    ownership.on_gained(lambda shards: told.append(("gained", shards)))
    ownership.on_leaving(lambda shards: told.append(("leaving", shards)))
    ownership.gain({1: 7, 2: 8})
    ownership.leave(frozenset({1, 5}))
    assert (ownership.owns(1), ownership.epochs) == (False, {1: 7, 2: 8})
    ownership.lose(frozenset({1}))
    assert ownership.epochs == {2: 8}
    ownership.lose(frozenset({2}))
    assert told == [
        ("gained", frozenset({1, 2})),
        ("leaving", frozenset({1})),
        ("leaving", frozenset({2})),
    ]
    ownership.gain({4: 1})
    ownership.again(frozenset({4, 2}))
    assert told[-2:] == [("leaving", frozenset({4, 2})), ("gained", frozenset({4}))]


def test_renewed_is_told_only_after_the_lease_had_passed() -> None:
    clock = Clock()
    ownership = NodeOwnership(clock)
    told: list[float] = []
    ownership.on_renewed(lambda: told.append(ownership.act_until_s))
    ownership.renew(107.0)
    ownership.renew(108.0)
    assert told == [107.0]
    clock.at_s = 108.0
    ownership.renew(115.0)
    assert told == [107.0, 115.0]
    # A heartbeat that was sent before another one came back late takes nothing back.
    ownership.renew(110.0)
    assert ownership.act_until_s == 115.0


def _prepare(changes: Changes, epochs: dict[int, int]) -> dict[str, object]:
    prepared = prepare(
        Batch(changes, [], []),
        Held({}, {}, set()),
        chain=Chain("n/0", 0, bytes(32)),
        node="n",
        boot_id=b"b",
        epoch=1,
        epochs=epochs,
        since_us={},
        told={},
        sealer=ChainSealer(),
        clock=SystemClock(),
    )
    return dict(zip(parameters(), prepared.arguments, strict=True))


def parameters() -> list[str]:
    """Names of the parameters of ``rco_flush``, in their order."""
    (text,) = [one.up for one in known("postgres") if one.name == "flush"]
    head = text[text.index("CREATE FUNCTION rco_flush(") : text.index("RETURNS")]
    return re.findall(r"\b([a-z]_[a-z_]+) [a-z]+", head)


def test_there_is_an_argument_for_each_parameter() -> None:
    assert len(parameters()) == FLUSH.count("$")
    assert resources.files("rco.store.migrations").joinpath("postgres").is_dir()
    rows = {name: value for name, value in list(_prepare(Changes(), {}).items())[12:] if value is not None}
    assert rows == {"e_run": []}, "what is empty goes as NULL, but for what rows are compared with"


def test_rows_of_a_shard_that_is_not_owned_are_turned_away_here() -> None:
    run_id = Ids().uuid7(5)
    changes = Changes()
    draft = Draft(run_id, 1)
    draft.parts.append(b"x")
    changes.drafts.append(draft)
    with pytest.raises(ShardsLost):
        _prepare(changes, {4: 1})
    sent = _prepare(changes, {4: 1, 5: 9})
    assert (sent["f_shard"], sent["f_epoch"], sent["j_run"], sent["j_seq"]) == ([5], [9], [run_id], [1])


def test_a_character_that_the_server_refuses_costs_no_commit() -> None:
    changes = Changes()
    changes.events.append(
        Event(id="a\0b", source="s", type="t", data=b"\0", time_us=1, received_us=1, corr_id="c", subject="\0")
    )
    sent = _prepare(changes, {})
    assert (sent["v_id"], sent["v_subject"], sent["v_data"]) == (["a\u2400b"], ["\u2400"], [b"\0"])


@pytest.mark.parametrize("settings", [{"heartbeat_s": 4.0}, {"margin_s": 7.0}, {"flushers": 0}, {"heartbeat_s": 0}])
def test_a_lease_must_outlast_two_heartbeats(settings) -> None:
    with pytest.raises(ValueError, match=r"heartbeat|flushers"):
        PostgresOptions(**settings)
