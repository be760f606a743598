"""What a flush costs the server does not hang on what its statistics happen to say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rco.store.postgres import PostgresOptions
from rco.store.postgres.connection import connect

EXPLAINED = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET client_min_messages = log;
"""


@pytest.mark.parametrize("held", ["by nobody", "by another", "by this one"])
async def test_the_fence_looks_up_each_shard_of_the_flush(make_node: Any, postgres_dsn: str, held: str) -> None:
    if held != "by nobody":
        before = make_node("a" if held == "by this one" else "other")
        await before.keeper.start()
        await before.open(0)
    statistics = await connect(postgres_dsn, PostgresOptions())
    await statistics.execute("VACUUM (ANALYZE)")
    if held == "by another":
        await before.keeper.stop()
    node = before if held == "by this one" else make_node("a")
    if held != "by this one":
        await node.keeper.start()
        await node.until(lambda: node.ownership.owns(0))
    plans: list[str] = []
    for flusher in node.writer.flushers:
        connection = await flusher._line.open()
        await connection.execute(EXPLAINED)
        connection.add_log_listener(lambda _, notice: plans.append(str(notice.message)))
    for shard in (0, 2, 4, 6):
        await node.open(shard)
    fences = [plan for plan in plans if "SELECT s.n, s.hash" in plan.partition("\n")[2][:60]]
    assert len(fences) == 4, plans
    for plan in fences:
        looked = re.findall(r"Scan.*? on lease.*?\(actual rows=(\d+) loops=(\d+)\)", plan)
        assert looked == [("1", "1")], plan
        assert "Rows Removed" not in plan, plan
    await statistics.close()
