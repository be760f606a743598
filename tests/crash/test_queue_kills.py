"""Queues under ``kill -9``: no limit is passed, no turn is lost, whoever dies.

Schedules put runs into the queue, so nobody talks to the service. What it leaves behind is checked by the rules that
strangers have.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.test_tick_kills import Ask, Serving, placed, until

from rco.verify.check import check
from rco.verify.options import Options
from rco.verify.sources import read_export

pytestmark = pytest.mark.timeout(240)
KILLS = 8
SEED = 7
APP = """
from rco.workflow import Context, workflow

@workflow(queue="q")
async def work(ctx: Context, given):
    await ctx.sleep(0.3)
    async def think():
        return 1
    return await ctx.step(think)
"""
CONFIG = """
app: {app}
data_dir: {data}
store: {store}
server: {{bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0", drain_timeout: 1s}}
queues:
  q: {{concurrency: 2, per_key_concurrency: 1}}
schedules:
  one: {{workflow: work, every: 1s, overlap: allow, catch_up: all, fair_key: one}}
  two: {{workflow: work, every: 1s, overlap: allow, catch_up: all, fair_key: two}}
  three: {{workflow: work, every: 1s, overlap: allow, catch_up: all, fair_key: three, priority: 2}}
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[list[Serving], Ask, str]]:
    nodes, ask, where = placed(request, tmp_path, APP, CONFIG)
    yield nodes, ask, where
    for node in nodes:
        node.kill()


async def test_limits_are_kept_and_turns_go_on(place: tuple[list[Serving], Ask, str], tmp_path: Path) -> None:
    nodes, ask, where = place
    chance = random.Random(SEED)

    def closed() -> int:
        return int(ask("SELECT count(*) FROM closed_run")[0][0])

    for node in nodes:
        node.start()
    await until(lambda: closed() > 0)
    for index in range(KILLS):
        node = nodes[index % len(nodes)]
        await asyncio.sleep(chance.uniform(0.1, 2.5))
        node.kill()
        assert ask("SELECT count(*) FROM queue_item WHERE state = 1")[0][0] <= 2
        node.start()
    before = closed()
    await until(lambda: closed() >= before + 6)
    for node in nodes:
        node.kill()
    path = tmp_path / "export.jsonl"
    subprocess.run(
        [sys.executable, "-m", "rco", "export", "--store", where, "--out", str(path)], check=True, capture_output=True
    )
    verdict = check(read_export(path), options=Options(heard_us=15_000_000))
    findings = {one.rule: one.findings for one in verdict.rules if one.rule in "adfgh"}
    assert not any(findings.values()), findings
    turns = next(one.evidence for one in verdict.rules if one.rule == "g")
    assert int(turns.split()[0]) >= before + 6
