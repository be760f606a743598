"""Old evidence on PostgreSQL: each node's chain is cut by itself, and what is left of all of them verifies together."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from tests.integration.postgres.conftest import SHORT, Node

from rco.audit.export import export
from rco.audit.verify import verify
from rco.model.decision import Decision, Verb
from rco.model.retention import RetentionClass, RetentionOptions
from rco.operations.cut_evidence import LINKS, EvidenceCut
from rco.operations.desk import Desk
from rco.operations.export_runs import export_runs
from rco.store.opening import open_snapshot
from rco.telemetry.metrics import Metrics
from rco.verify.check import check
from rco.verify.lines import ExportLine

OPTIONS = RetentionOptions(rate_per_s=1_000_000.0, classes={"short": RetentionClass(keep_s=0.001)}, evidence="short")


async def test_chains_are_cut_apart_and_verify_together(postgres_dsn: str) -> None:
    nodes = [Node(postgres_dsn, name, SHORT) for name in ("one", "two")]
    for node in nodes:
        await node.keeper.start()
    keeper, reader = nodes[0].keeper, nodes[0].reader

    async def commits(node: Node, count: int) -> None:
        said = Decision(verb=Verb.CONFIG, at_us=1, actor="test", subject="nothing")
        for _ in range(count):
            await node.commit(lambda changes: changes.decisions.append(said))

    try:
        await asyncio.gather(*(commits(node, LINKS + 20) for node in nodes))
        desk = cast("Desk", SimpleNamespace(reader=reader, clock=nodes[0].clock, metrics=Metrics()))
        cutting = EvidenceCut(keeper.retaining, list)
        now_us = nodes[0].clock.now_us() + 1_000_000
        chains = [chain for chain in await reader.chains() if chain not in keeper.retaining.whole_chains]
        long = [chain for chain in chains if (head := await reader.head(chain)) is not None and head.n > LINKS]
        assert len(long) == 2
        # Two who do it at once remove each link once.
        counts = await asyncio.gather(*(cutting.run(desk, OPTIONS, now_us, "test") for _ in range(2)))
        assert sum(counts) == 2 * LINKS
        lines = [line async for line in export(reader, journal=True)]
        verdict = verify(lines)
        assert verdict.ok, verdict.problems
        assert {(one.chain, one.first, one.checkpoint) for one in verdict.begins} == {
            (chain, LINKS + 1, True) for chain in long
        }

        def checked() -> Any:
            with open_snapshot(postgres_dsn) as snapshot:
                said = list(export_runs(snapshot, at_us=now_us, version="test", payloads=True))
            return check(msgspec.json.decode(line, type=ExportLine) for line in said)

        found = await asyncio.to_thread(checked)
        assert not found.failed, found.text()
        assert f"{2 * LINKS} links before them removed" in found.text()
    finally:
        for node in nodes:
            await node.keeper.stop()
