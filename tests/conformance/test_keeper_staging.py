"""Small objects that come with a commit: there with it, replaced by what is put later, gone when they were moved."""

from __future__ import annotations

import os

from rco.model.staged import StagedObject
from rco.store.contract.changes import Changes, Claim

KEY, OTHER = "content/ab/abcdef", "content/cd/cdef01-tag"


async def stage(keeper, desk, *staged: StagedObject) -> None:
    def fill(changes: Changes) -> None:
        changes.decisions.append(desk.decision())
        changes.staged.extend(staged)

    await desk.commit(keeper.writer, fill)


async def test_they_are_there_with_the_commit_and_gone_when_they_were_moved(keeper, desk) -> None:
    one, other = StagedObject(KEY, 10, os.urandom(16_000)), StagedObject(OTHER, 20, b"\0\xff")
    assert await keeper.reader.staged(KEY) is None
    assert await keeper.reader.staged_before(1 << 62, 10) == []
    await stage(keeper, desk, other, one)
    assert await keeper.reader.staged(KEY) == one
    assert await keeper.reader.staged(OTHER) == other
    assert await keeper.reader.staged_before(1 << 62, 10) == [one, other]
    assert await keeper.reader.staged_before(1 << 62, 1) == [one]
    assert await keeper.reader.staged_before(20, 10) == [one], "before then, not then"
    for _ in range(2):
        await keeper.reader.unstage([one])
        assert await keeper.reader.staged(KEY) is None
        assert await keeper.reader.staged_before(1 << 62, 10) == [other]


async def test_of_one_key_the_last_stays_and_is_not_removed_with_the_one_before(keeper, desk) -> None:
    first, second, third = (StagedObject(KEY, at, b"%d" % at) for at in (1, 2, 3))
    await stage(keeper, desk, first, second)
    assert await keeper.reader.staged_before(1 << 62, 10) == [second], "of one transaction"
    await stage(keeper, desk, third)
    assert await keeper.reader.staged_before(1 << 62, 10) == [third], "and of two"
    await keeper.reader.unstage([first, second])
    assert await keeper.reader.staged(KEY) == third
    await keeper.reader.unstage([third])
    assert await keeper.reader.staged(KEY) is None


async def test_hundreds_go_with_one_commit_and_are_removed_together(keeper, desk) -> None:
    every = [StagedObject(f"content/{at % 256:02x}/{at:08x}", at, os.urandom(at)) for at in range(700)]
    await stage(keeper, desk, *every)
    assert await keeper.reader.staged_before(700, 1000) == every
    await keeper.reader.unstage(every[:500])
    assert await keeper.reader.staged_before(700, 1000) == every[500:]
    await keeper.reader.unstage([])
    assert await keeper.reader.staged(every[699].key) == every[699]


async def test_a_refused_admission_does_not_keep_them_from_others(keeper, desk) -> None:
    claim = Claim(b"c" * 32, "corr", desk.clock.at_us + 86_400_000_000)
    assert (await desk.admit(keeper.writer, claim=claim)).status == "accepted"
    mine, again = StagedObject(KEY, 1, b"mine"), StagedObject(OTHER, 2, b"again")
    keeper.writer.changes(0).staged.append(again)
    assert (await desk.admit(keeper.writer, claim=claim)).status == "duplicate"
    keeper.writer.changes(0).staged.append(mine)
    assert (await desk.admit(keeper.writer)).status == "accepted"
    assert await keeper.reader.staged(KEY) == mine
    assert await keeper.reader.staged(OTHER) == again
