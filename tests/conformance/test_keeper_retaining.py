"""Dropping what is over its time: what goes, what stays however old it is, and what stands in the chain of it."""

from __future__ import annotations

import json

import pytest

from rco.model.decision import Decision, Verb
from rco.model.letter import DeadLetter
from rco.model.run import Mode, Outcome, fork_prefix
from rco.store.contract.changes import Changes, Ended, Moved, StartKey
from rco.store.contract.retaining import Removed

DAY_US = 86_400_000_000


def record(removed: Removed) -> Decision:
    facts = {"runs": removed.runs, "segments": removed.segments, "events": removed.events, "letters": removed.letters}
    return Decision(verb=Verb.TRIM, at_us=7, subject="retention", facts=facts)


@pytest.fixture
def closed(keeper, desk):
    async def close(**more: object) -> bytes:
        row = desk.row(**more)
        key = StartKey(row.namespace, row.key, b"r" * 32, row.run_id) if row.key else None
        await desk.admit(keeper.writer, opened=[(row, b"start")], start_keys=[key] if key else [])
        ended = Ended(row.run_id, Outcome.COMPLETED, desk.clock.at_us)

        def end(changes: Changes) -> None:
            changes.drafts.append(desk.draft(row.run_id, 1, b"close"))
            changes.ended.append(ended)

        await desk.commit(keeper.writer, end)
        return row.run_id

    return close


async def candidates(keeper, before_us: int) -> list[bytes]:
    found, after = [], b""
    while after is not None:
        page, after = await keeper.retaining.closed_runs(before_us, after, 2)
        found += [row.run_id for row in page]
    return found


async def test_closed_runs_go_with_their_journal_and_key(keeper, desk, closed) -> None:
    old = [await closed(key=f"k{at}") for at in range(5)]
    desk.clock.at_us += DAY_US
    young = await closed(key="young")
    assert await candidates(keeper, desk.clock.at_us) == sorted(old)
    removed = await keeper.retaining.drop_runs([*old, young][:5], record)
    assert (removed.runs, removed.segments) == (5, 10)
    assert sum(count for _, count, _ in removed.chains) == 10
    assert removed.from_us <= removed.until_us - 1000
    for run_id in old:
        assert await keeper.reader.run(run_id) is None
        assert await keeper.reader.journal(run_id) == []
    assert await keeper.reader.key_holder("default", "k0") is None
    assert await keeper.reader.key_holder("default", "young") == young
    assert len(await keeper.reader.journal(young)) == 2
    assert (await keeper.retaining.drop_runs(old, record)).runs == 0
    # The key is free again.
    assert await closed(key="k0") not in old


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.CLOSED])
async def test_nothing_open_is_touched_by_any_way(keeper, desk, mode) -> None:
    run_id = await desk.open(keeper.writer)
    await desk.commit(keeper.writer, lambda changes: changes.moved.append(Moved(run_id, mode)))
    desk.clock.at_us += 10_000 * DAY_US
    assert await candidates(keeper, desk.clock.at_us) == []
    assert (await keeper.retaining.drop_runs([run_id], record)).runs == 0
    assert len(await keeper.reader.journal(run_id)) == 1


async def test_what_others_need_stays(keeper, desk, closed) -> None:
    origin = await closed()
    fork = desk.row()
    key = StartKey("default", fork_prefix(origin) + "x", b"r" * 32, fork.run_id)
    await desk.admit(keeper.writer, opened=[(fork, b"copy")], start_keys=[key])
    parent = await closed()
    await desk.open(keeper.writer, parent=parent)
    above = await desk.open(keeper.writer)
    child = await closed(parent=above)
    unread = await desk.open(keeper.writer)
    await desk.admit(keeper.writer, messages=[desk.message(unread)])
    await desk.commit(
        keeper.writer, lambda changes: changes.ended.append(Ended(unread, Outcome.COMPLETED, desk.clock.at_us))
    )
    free = await closed()
    desk.clock.at_us += DAY_US
    assert await candidates(keeper, desk.clock.at_us) == [free]
    removed = await keeper.retaining.drop_runs([origin, parent, child, unread, free], record)
    assert removed.runs == 1
    for run_id in (origin, parent, child, unread):
        assert await keeper.reader.run(run_id) is not None
    assert len(await keeper.reader.messages(unread)) == 1
    # An origin may go once its fork is gone.
    await desk.commit(
        keeper.writer, lambda changes: changes.ended.append(Ended(fork.run_id, Outcome.COMPLETED, desk.clock.at_us))
    )
    assert (await keeper.retaining.drop_runs([fork.run_id], record)).runs == 1
    assert (await keeper.retaining.drop_runs([origin], record)).runs == 1


async def test_events_go_unless_an_open_run_may_look_back_for_them(keeper, desk) -> None:
    for at in range(5):
        await desk.admit(keeper.writer, event=desk.event(f"e{at}"))
        desk.clock.at_us += 1000
    await desk.admit(keeper.writer, event=desk.event("other", namespace="acme"))
    now_us = desk.clock.at_us
    run = await desk.open(keeper.writer, opened_us=now_us - 2000)
    assert await keeper.retaining.count_events(now_us + 1) == (4, now_us - 5000)
    dropped = [(await keeper.retaining.drop_events(now_us + 1, 3, record)).events for _ in range(3)]
    assert dropped == [3, 1, 0]
    assert await keeper.reader.event("default", "e2") is None
    assert await keeper.reader.event("default", "e3") is not None
    assert await keeper.reader.event("acme", "other") is None
    await desk.commit(keeper.writer, lambda changes: changes.ended.append(Ended(run, Outcome.COMPLETED, now_us)))
    assert await keeper.retaining.count_events(now_us) == (2, now_us - 2000)


async def test_letters_go_only_once_they_were_sent_again(keeper, desk) -> None:
    letters = [
        DeadLetter(letter_id=desk.id(), event=desk.event(f"e{at}"), subscription="s", cause="c", at_us=desk.clock.at_us)
        for at in range(3)
    ]
    await desk.commit(keeper.writer, lambda changes: changes.letters.extend(letters))
    again = [(one.letter_id, desk.clock.at_us + at) for at, one in enumerate(letters[:2])]
    await desk.commit(keeper.writer, lambda changes: changes.letters_replayed.extend(again))
    before_us = desk.clock.at_us + 1
    assert await keeper.retaining.count_letters(before_us) == (1, desk.clock.at_us)
    assert (await keeper.retaining.drop_letters(before_us, 10, record)).letters == 1
    assert (await keeper.retaining.drop_letters(before_us, 10, record)).letters == 0
    assert await keeper.reader.letter(letters[0].letter_id) is None
    assert await keeper.reader.letter(letters[1].letter_id) is not None
    assert await keeper.reader.letter(letters[2].letter_id) is not None


async def test_each_removal_stands_in_a_chain(keeper, desk, closed) -> None:
    run_id = await closed()
    await keeper.retaining.drop_runs([run_id], record)
    await keeper.retaining.drop_runs([run_id], record)
    # The model notes it for its next commit.
    await desk.commit(keeper.writer, lambda changes: changes.decisions.append(desk.decision()))
    found = []
    for chain in await keeper.reader.chains():
        for seal in await keeper.reader.seals(1, 1000, chain):
            found += [one for one in json.loads(seal.decisions) if one["verb"] == "trim"]
    assert [one["facts"] for one in found] == [{"runs": 1, "segments": 2, "events": 0, "letters": 0}]
