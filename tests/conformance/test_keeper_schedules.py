"""Schedules: changes fit the revision they were made from, names are unique, and a start goes with the advance."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from rco.errors import StoreError
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.run import Mode, RunRow, shard_of
from rco.store.contract.changes import Admission, Admitted, StartKey
from rco.store.contract.schedules import ScheduleRow, ScheduleWrite

SEGMENT = encode_record(Record(Kind.START, "", 1, b"", {}))


def row(name: str = "nightly", **more: Any) -> ScheduleRow:
    known: dict[str, Any] = {
        "schedule_id": Ids().uuid7(),
        "namespace": "default",
        "name": name,
        "origin": "api",
        "revision": 1,
        "due_us": 1000,
        "rules": "2026f",
        "body": b"body \x00 of " + name.encode(),
    }
    return ScheduleRow(**(known | more))


def put(one: ScheduleRow) -> ScheduleWrite:
    return ScheduleWrite(row=one, expect=None)


def change(one: ScheduleRow, **more: Any) -> ScheduleWrite:
    after = msgspec.structs.replace(one, **({"revision": one.revision + 1} | more))
    return ScheduleWrite(row=after, expect=one.revision)


def remove(one: ScheduleRow) -> ScheduleWrite:
    return ScheduleWrite(row=one, expect=one.revision, gone=True)


def ask(keeper: Any, *writes: ScheduleWrite, **more: Any) -> asyncio.Future[Admitted]:
    future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
    admission = Admission(done=future.set_result, failed=future.set_exception, schedules=list(writes), **more)
    keeper.writer.changes(0).admissions.append(admission)
    return future


async def status(keeper: Any, *writes: ScheduleWrite, **more: Any) -> str:
    return (await ask(keeper, *writes, **more)).status


async def test_what_is_put_in_is_read(keeper: Any, reopen: Any) -> None:
    one = row(due_us=None)
    assert await status(keeper, put(one)) == "accepted"
    again = await reopen()
    assert await again.reader.schedule(one.schedule_id) == one
    assert await again.reader.schedule_named("default", "nightly") == one
    assert await again.reader.schedule_named("other", "nightly") is None
    assert await again.reader.schedule(bytes(16)) is None
    assert await again.reader.count_schedules("default") == 1
    assert await again.reader.count_schedules("other") == 0


async def test_a_name_is_used_once_in_a_namespace(keeper: Any) -> None:
    assert await status(keeper, put(row())) == "accepted"
    assert await status(keeper, put(row())) == "stale"
    assert await status(keeper, put(row(namespace="other"))) == "accepted"
    at_once = [ask(keeper, put(row("weekly"))) for _ in range(10)]
    assert sorted([one.status for one in await asyncio.gather(*at_once)]) == ["accepted"] + ["stale"] * 9


async def test_a_change_fits_the_revision_it_was_made_from(keeper: Any) -> None:
    one = row()
    await status(keeper, put(one))
    first = change(one, body=b"first", due_us=5, rules="2027a", origin="config")
    assert await status(keeper, first) == "accepted"
    assert await status(keeper, change(one, body=b"second")) == "stale"
    assert await keeper.reader.schedule(one.schedule_id) == first.row
    assert await status(keeper, change(first.row, body=b"third")) == "accepted"
    found = await keeper.reader.schedule(one.schedule_id)
    assert (found.revision, found.body) == (3, b"third")


async def test_changes_in_one_commit_follow_each_other(keeper: Any) -> None:
    one = row()
    second = change(one)
    third = change(second.row, body=b"last")
    asked = [ask(keeper, put(one)), ask(keeper, second), ask(keeper, change(one)), ask(keeper, third)]
    assert [(await each).status for each in asked] == ["accepted", "accepted", "stale", "accepted"]
    assert await keeper.reader.schedule(one.schedule_id) == third.row


async def test_what_is_removed_is_gone_and_its_name_free(keeper: Any) -> None:
    one, other = row(), row()
    await status(keeper, put(one))
    asked = [ask(keeper, change(one)), ask(keeper, remove(one))]
    assert [(await each).status for each in asked] == ["accepted", "stale"]
    now = await keeper.reader.schedule(one.schedule_id)
    asked = [ask(keeper, remove(now)), ask(keeper, put(other)), ask(keeper, remove(now))]
    assert [(await each).status for each in asked] == ["accepted", "accepted", "stale"]
    assert await keeper.reader.schedule(one.schedule_id) is None
    assert await keeper.reader.schedule_named("default", "nightly") == other
    brief = row("brief")
    asked = [ask(keeper, put(brief)), ask(keeper, remove(brief))]
    assert [(await each).status for each in asked] == ["accepted", "accepted"]
    assert await keeper.reader.schedule(brief.schedule_id) is None


async def test_a_start_and_the_advance_are_one(keeper: Any) -> None:
    one = row()
    await status(keeper, put(one))

    def starts(key: str) -> dict[str, Any]:
        run_id = Ids().uuid7()
        made = RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1)
        decision = Decision(verb=Verb.START, at_us=1, subject=key)
        return {"keyed": [(StartKey("default", key, b"", run_id), made, SEGMENT, decision)]}

    stale, fresh = starts("tick 1"), starts("tick 1")
    asked = [ask(keeper, change(one), **fresh), ask(keeper, change(one), **stale)]
    assert [(await each).status for each in asked] == ["accepted", "stale"]
    assert await keeper.reader.run(fresh["keyed"][0][1].run_id) is not None
    assert await keeper.reader.run(stale["keyed"][0][1].run_id) is None
    # A tick that was started before is not started again, and the schedule moves on all the same.
    now = await keeper.reader.schedule(one.schedule_id)
    again = starts("tick 1")
    admitted = await ask(keeper, change(now), **again)
    assert (admitted.status, admitted.skipped) == ("accepted", (again["keyed"][0][1].run_id,))


async def test_an_admission_changes_all_its_schedules_or_none(keeper: Any) -> None:
    one, two = row("one"), row("two")
    await status(keeper, put(one))
    assert await status(keeper, put(two), change(msgspec.structs.replace(one, revision=7))) == "stale"
    assert await keeper.reader.schedule(two.schedule_id) is None


async def test_pages_by_name_and_by_due_time(keeper: Any) -> None:
    rows = [row(f"s{number:02}", due_us=None if number == 7 else (number * 13) % 10) for number in range(10)]
    rows += [row("t", due_us=3, origin="config", rules="2027a"), row("s00", namespace="other", due_us=50)]
    for one in rows:
        assert await status(keeper, put(one)) == "accepted"
    reader = keeper.reader
    names = [one.name for one in await reader.schedules("default", "s03", 4)]
    assert names == ["s04", "s05", "s06", "s07"]
    assert [one.name for one in await reader.schedules("default", "", 100, "config")] == ["t"]
    wanted = sorted((one.due_us, one.schedule_id) for one in rows if one.due_us is not None and one.due_us < 8)
    seen: list[tuple[int, bytes]] = []
    after = (-1, b"")
    while found := await reader.schedules_due(after, 8, 3):
        seen += [(one.due_us, one.schedule_id) for one in found]
        after = seen[-1]
    assert seen == wanted
    assert [one.name for one in await reader.schedules_under_others("2026f", b"", 100)] == ["t"]
    others = await reader.schedules_under_others("2027a", b"", 100)
    assert [one.schedule_id for one in others] == sorted(one.schedule_id for one in rows if one.rules != "2027a")
    assert await reader.schedules_under_others("2027a", others[-1].schedule_id, 100) == []


async def test_only_shards_that_are_asked_for(keeper: Any) -> None:
    if keeper.ownership.shards() is None:
        pytest.skip("one owner has all shards")
    one, two = row("one"), row("two")
    for each in (one, two):
        await status(keeper, put(each))
    shards = frozenset({shard_of(one.schedule_id)})
    wanted = {each.name for each in (one, two) if shard_of(each.schedule_id) in shards}
    assert {each.name for each in await keeper.reader.schedules_due((-1, b""), 10**9, 10, shards)} == wanted
    assert {each.name for each in await keeper.reader.schedules_under_others("x", b"", 10, shards)} == wanted


async def test_an_owner_that_lost_the_shard_is_refused(home: Any, keeper: Any) -> None:
    one = row()
    await status(keeper, put(one))
    home.usurp()
    write = msgspec.structs.replace(change(one), owned=True)
    with pytest.raises(StoreError):
        await ask(keeper, write)
