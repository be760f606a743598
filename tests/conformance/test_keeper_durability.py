"""What was told to be committed is there after kill -9, and nothing is there by half."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from rco.model.run import Mode
from rco.store.contract.changes import Claim

CHILD = Path(__file__).with_name("durability_child.py")


@pytest.mark.parametrize("told", [1, 40, 1500])
async def test_every_id_that_was_printed_is_there_after_sigkill(home, reopen, desk, told):
    if not home.where:
        pytest.skip("it lives in the memory of one process")
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), home.name, home.where, stdout=asyncio.subprocess.PIPE
    )
    printed = [(await child.stdout.readline()).strip() for _ in range(told)]
    child.kill()
    # What it printed between the last line read and its death counts as well; a line cut short does not.
    rest = (await child.stdout.read()).split(b"\n")
    assert await child.wait() == -9
    printed = [bytes.fromhex(line.decode()) for line in [*printed, *rest[:-1]]]
    keeper = await reopen()
    reader = keeper.reader
    for run_id in printed:
        assert await reader.run(run_id) is not None
        assert (await reader.journal(run_id))[0].first_seq == 0
    # Whole transactions only: a run has its first segment, a segment its run, and the chain counts them all.
    rows, after = [], None
    while page := await reader.open_runs(Mode.HOT, after, 500):
        rows += page
        after = page[-1].run_id
    links, first = [], 1
    while page := await reader.seals(first, 500):
        links += page
        first = page[-1].n + 1
    segments = await reader.segments(1, links[-1].n)
    assert sorted(s.run_id for s in segments) == [row.run_id for row in rows]
    assert sum(len(link.leaves) // 32 for link in links) == len(rows)
    assert len(rows) >= len(printed)
    # A claim stands exactly where its run does.
    for run_id in printed[-3:]:
        claim = Claim(run_id * 2, "corr", desk.clock.at_us + 9)
        verdict = await desk.admit(keeper.writer, claim=claim)
        by_claim = (await reader.journal(run_id))[0].data == b"start"
        assert verdict.status == ("duplicate" if by_claim else "accepted")
