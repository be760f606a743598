"""Ticks under ``kill -9`` with an input too large for a row: each has one run, and what that was given is there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.test_tick_kills import Ask, Serving, bodies, placed, ticks, until

from rco.kit.digest import digest
from rco.model.payload import is_reference
from rco.payloads.keeping import key_of
from rco.payloads.segments import references_of
from rco.store.opening import open_snapshot

pytestmark = pytest.mark.timeout(240)
KILLS = 6
CALM_TICKS = 3
SEED = 11
PAD = "Vogon poetry " * 300
APP = """
from rco.workflow import Context, workflow

@workflow
async def note(ctx: Context, given):
    async def think():
        return len(given["pad"])
    return await ctx.step(think)
"""
CONFIG = """
app: {app}
data_dir: {data}
store: {store}
objects: {{place: "file:OBJECTS"}}
payloads: {{object_store_over: 1KiB}}
server: {{bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0", drain_timeout: 1s}}
schedules:
  shared: {{workflow: note, every: 1s, input: {{pad: "PAD"}}, overlap: allow, catch_up: none}}
  its-own: {{workflow: note, every: 1s, input: {{pad: "PAD"}}, tick_field: tick, overlap: allow, catch_up: none}}
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[list[Serving], Ask, str, Path]]:
    objects = tmp_path / "objects"
    config = CONFIG.replace("OBJECTS", str(objects)).replace("PAD", PAD)
    nodes, ask, where = placed(request, tmp_path, APP, config)
    yield nodes, ask, where, objects
    for node in nodes:
        node.kill()


async def test_every_tick_has_one_run_and_its_input(place: tuple[list[Serving], Ask, str, Path]) -> None:
    nodes, ask, where, objects = place
    chance = random.Random(SEED)
    for node in nodes:
        node.start()
    await until(lambda: len(bodies(ask)) == 2 and all(ticks(ask).values()))
    for index in range(KILLS):
        node = nodes[index % len(nodes)]
        await asyncio.sleep(chance.uniform(0.1, 2.5))
        node.kill()
        node.start()
    last = max(max(found) for found in ticks(ask).values())
    await until(lambda: all(found and max(found) >= last + CALM_TICKS for found in ticks(ask).values()))
    for node in nodes:
        node.kill()
    for name, found in ticks(ask).items():
        body = bodies(ask)[name]
        assert is_reference(bytes(body[0]["input"].data)), "the schedule itself refers to its input"
        assert set(Counter(found).values()) == {1}
        assert body[1]["started"] == len(found)
    with open_snapshot(where) as snapshot:
        space = snapshot.payload_space()
        begun = [(one.row.key, references_of(one.segments[0].data)) for one in snapshot.histories()]
    assert begun
    assert all(len(held) == 1 for _, held in begun), "every run refers to what it was given, and holds none of it"
    for _, (reference,) in begun:
        data = (objects / key_of(space, reference.name)).read_bytes()
        assert digest(data) == reference.digest
        assert PAD.encode() in data
    # The restarts found in the store what is declared: nobody has put the input again.
    by_schedule = {key.split(":")[1]: set[bytes]() for key, _ in begun if key}
    for key, (reference,) in begun:
        if key:
            by_schedule[key.split(":")[1]].add(reference.name)
    counts = sorted(map(len, by_schedule.values()))
    assert counts[0] == 1, "one object for all runs of the schedule that gives each the same"
    assert counts[1] > KILLS // 2
