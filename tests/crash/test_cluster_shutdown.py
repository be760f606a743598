"""A planned stop (SIGTERM) hands everything over: flushed, released, taken over at once by the others."""

from __future__ import annotations

import asyncio

import pytest
from tests.crash.cluster import Cluster
from tests.crash.load import loaded

pytestmark = pytest.mark.timeout(240)
SEED = 9


@pytest.mark.parametrize("leases", [{}], ids=["default leases"])
async def test_what_a_node_had_is_released_and_taken_over_before_its_lease_runs_out(cluster: Cluster) -> None:
    await cluster.start()
    await cluster.until_owned_by(0, 1, 2)
    async with loaded(cluster, SEED, "cs", "pytest tests/crash/test_cluster_shutdown.py"):
        await asyncio.sleep(1.0)
        left = [cluster.name_of(0), cluster.name_of(2)]
        await cluster.nodes[0].stop()
        await cluster.until_owned_by(1, 2)
        await cluster.start(0)
        await cluster.until_owned_by(0, 1, 2)
        await cluster.nodes[2].stop()
        await cluster.until_owned_by(0, 1)
        await cluster.start(2)
    tenures = cluster.tenures()
    assert tenures is not None
    waited_s = []
    for changes in tenures.changes.values():
        for (_, owner), (released_us, between), (taken_us, _) in zip(changes, changes[1:], changes[2:], strict=False):
            if owner in left:
                assert between == "", f"{owner} did not release what it had: it was taken from it"
                waited_s.append((taken_us - released_us) / 1e6)
    assert len(waited_s) > 100
    # Told, not found out: the slowest way is the next heartbeat, and a lease counts for four of those.
    assert max(waited_s) < 4.0, f"nobody's for {max(waited_s)} s"
