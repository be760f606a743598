"""Pools: which shard a run is in, and how runs of shards are asked for."""

from __future__ import annotations

from rco.kit.ids import Ids
from rco.store.contract.ownership import SoleOwner
from rco.store.pools import NOWHERE, Pools, byte_of

PINS = ("@v1", "@v2")


def test_a_run_is_in_the_pool_of_its_version() -> None:
    pools, run_id = Pools(PINS), Ids().uuid7(200)
    assert pools.home(run_id, "b3beef") == 200
    assert pools.home(run_id, "@v1") == 256 + 200
    assert pools.home(run_id, "@v2") == 512 + 200
    assert pools.home(run_id, "@v3") == NOWHERE
    assert [pools.pin(shard) for shard in (200, 456, 712, 900)] == ["", "@v1", "@v2", ""]
    assert pools.all_of(200) == [200, 456, 712]
    assert {byte_of(shard) for shard in pools.all_of(200)} == {200}
    assert [pools.base(version) for version in ("", "code", "@v1", "@v3")] == [0, 0, 256, None]


def test_where_there_are_no_pools_everything_is_asked_for_by_its_shard() -> None:
    assert Pools().among(frozenset((1, 2)), None) == ({1, 2}, None)
    # What is pinned to what has no pool is nobody's yet.
    assert Pools().among(frozenset((1, 2)), frozenset(("@v1",))) == ({1, 2}, {})


def test_of_each_pool_its_own_shards_are_asked_for() -> None:
    owned = frozenset((1, 2, 256, 258, 512 + 255))
    assert Pools(PINS).among(owned, None) == ({1, 2}, {"@v1": {0, 2}, "@v2": {255}})
    assert Pools(PINS).among(owned, frozenset(("@v2", "@v3"))) == ({1, 2}, {"@v2": {255}})


def test_a_sole_owner_has_one_pool() -> None:
    owner, run_id = SoleOwner(), Ids().uuid7(7)
    assert owner.home(run_id, "@v9") == 7
    assert owner.among(None, frozenset(("@v1",))) == (None, {"@v1": None})
    assert owner.among(None, None) == (None, None)
