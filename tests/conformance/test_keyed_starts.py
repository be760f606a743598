"""Runs that an admission opens only where their key is free."""

from __future__ import annotations

import asyncio
from typing import Any

from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Admission, Admitted, StartKey

SEGMENT = encode_record(Record(Kind.START, "", 1, b"", {}))


def keyed(key: str) -> tuple[StartKey, RunRow, bytes, Decision]:
    run_id = Ids().uuid7()
    row = RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1)
    return StartKey("default", key, b"", run_id), row, SEGMENT, Decision(verb=Verb.START, at_us=1, subject=key)


async def admit(keeper: Any, *runs: tuple[StartKey, RunRow, bytes, Decision]) -> asyncio.Future[Admitted]:
    future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
    changes = keeper.writer.changes(0)
    changes.admissions.append(Admission(done=future.set_result, failed=future.set_exception, keyed=list(runs)))
    return future


async def test_a_held_key_skips_its_run_and_not_the_others(keeper: Any) -> None:
    one, two = keyed("a"), keyed("b")
    assert (await (await admit(keeper, one))).skipped == ()
    again = keyed("a")
    admitted = await (await admit(keeper, again, two))
    assert admitted.status == "accepted"
    assert admitted.skipped == (again[1].run_id,)
    assert await keeper.reader.run(again[1].run_id) is None
    assert await keeper.reader.run(two[1].run_id) is not None
    assert await keeper.reader.key_holder("default", "a") == one[1].run_id
    assert await keeper.reader.journal(again[1].run_id) == []


async def test_of_many_at_the_same_moment_one_is_opened(keeper: Any) -> None:
    runs = [keyed("same") for _ in range(20)]
    futures = [await admit(keeper, one) for one in runs]
    outcomes = await asyncio.gather(*futures)
    assert sum(not one.skipped for one in outcomes) == 1
    there = [await keeper.reader.run(one[1].run_id) for one in runs]
    assert sum(row is not None for row in there) == 1
