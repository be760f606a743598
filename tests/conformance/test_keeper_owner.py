"""One owner at a time, and a former one writes nothing."""

from __future__ import annotations

import asyncio
import os

import pytest

from rco.errors import Fenced, StoreError, StoreLocked
from rco.store.contract.changes import Claim


async def test_every_start_raises_the_epoch(reopen):
    epochs = [(await reopen()).epoch for _ in range(3)]
    assert epochs == [epochs[0], epochs[0] + 1, epochs[0] + 2]
    assert epochs[0] > 0


async def test_a_second_process_is_told_who_holds_it(keeper, home):
    second = home.rival()
    with pytest.raises(StoreLocked, match=str(os.getpid())):
        await second.start()
    await second.stop()
    # The refusal did no harm to the owner, and a stop of the refused gave nothing away.
    with pytest.raises(StoreLocked):
        await home.rival().start()


async def test_a_former_owner_is_fenced_and_writes_nothing(keeper, home, desk, reopen):
    writer = keeper.writer
    run_id = await desk.open(writer)
    failures: list[BaseException] = []
    writer.on_failure(failures.append)
    head = await keeper.reader.head()
    home.usurp()
    changes = writer.changes(0)
    changes.drafts.append(desk.draft(run_id, 1, b"stale"))
    first, first_future = desk.admission(claim=Claim(b"c" * 32, "corr", desk.clock.at_us + 9))
    changes.admissions.append(first)
    called: list[int] = []
    changes.then.append((called.append, (1,)))
    await asyncio.sleep(0)
    # This one is still being collected when the fence falls.
    second, second_future = desk.admission(opened=[(desk.row(), b"start")])
    writer.changes(0).admissions.append(second)
    for future in (first_future, second_future):
        with pytest.raises(Fenced):
            await future
    assert [type(error) for error in failures] == [Fenced]
    assert called == []
    with pytest.raises(Fenced):
        writer.changes(0)
    writer.note(desk.decision("nobody hears"))
    assert writer.notes_dropped == 1
    assert await keeper.reader.head() == head
    again = await reopen()
    assert [s.data for s in await again.reader.journal(run_id)] == [b"start"]
    assert (await again.reader.head()).n == head.n
    assert (await desk.admit(again.writer, claim=Claim(b"c" * 32, "corr", desk.clock.at_us + 9))).status == "accepted"


async def test_a_keeper_lives_once(home):
    keeper = home.keeper()
    await keeper.start()
    await keeper.stop()
    with pytest.raises(StoreError):
        keeper.writer.changes(0)
