"""What several nodes did is one export that verifies."""

from __future__ import annotations

from typing import Any

from rco.audit.export import export, export_run
from rco.audit.verify import verify
from rco.store.contract.changes import Draft
from rco.store.postgres.ownership import winner


async def test_the_chains_of_two_nodes_verify_together(make_node: Any) -> None:
    one, two = make_node("a"), make_node("b")
    await one.keeper.start()
    shard = min(s for s in range(256) if winner(s, ["a", "b"]) == "b")
    moved = await one.open(shard)
    for other in (shard ^ 1, 7, 8):
        await one.open(other)
    await two.keeper.start()
    await two.until(lambda: two.ownership.owns(shard))
    second = Draft(moved, 1)
    second.parts.append(b"more")
    await two.commit(lambda c: c.drafts.append(second), shard)
    reader = one.reader
    chains = await reader.chains()
    assert chains == sorted(chains)
    assert len(chains) == 3
    lines = [line async for line in export(reader, journal=True)]
    verdict = verify(lines, complete=True)
    assert verdict.ok, verdict.problems
    assert (verdict.links, verdict.segments) == (5, 5)
    assert not verify(lines[:-1]).ok or not verify(lines[:-1], complete=True).ok
    run = [line async for line in export_run(reader, moved)]
    assert sum(b'"line":"journal"' in line for line in run) == 2
