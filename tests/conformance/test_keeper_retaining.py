"""Dropping what is over its time: what goes, what stays however old it is, and what stands in the chain of it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from rco.model.decision import Decision, Verb
from rco.model.letter import DeadLetter
from rco.model.run import Mode, Outcome, fork_prefix
from rco.store.contract.changes import Changes, Ended, Moved, StartKey
from rco.store.contract.retaining import BORN_US, Removed, cut_mark
from rco.store.contract.revocations import Revocation, RevokedKind

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


def checkpoint(removed: Removed) -> Decision:
    return Decision(verb=Verb.CHECKPOINT, at_us=7, subject="evidence", facts={"links": removed.links})


async def own_chain(keeper) -> str:
    """The chain that this keeper's first shard is written to."""
    (chain,) = [
        chain
        for chain in await keeper.reader.chains()
        if chain not in keeper.retaining.whole_chains and (chain == "" or chain.endswith("/0"))
    ]
    return chain


async def links(keeper, chain: str) -> list[int]:
    return [seal.n for seal in await keeper.reader.seals(1, 1000, chain)]


async def test_the_oldest_links_go_and_leave_a_mark_and_a_record(keeper, desk, reopen) -> None:
    for at in range(8):
        await desk.admit(keeper.writer, event=desk.event(f"e{at}"))
    chain = await own_chain(keeper)
    every = await links(keeper, chain)
    hash_2 = (await keeper.reader.seals(2, 1, chain))[0].hash
    # Not from the middle, and nothing that is not there.
    assert (await keeper.retaining.cut(chain, 2, 3, checkpoint)).links == 0
    assert (await keeper.retaining.cut(chain, 1, every[-1] + 50, checkpoint)).links == 0
    assert (await links(keeper, chain))[: len(every)] == every
    assert not await keeper.retaining.may_cut(chain, 1, (await keeper.reader.head(chain)).n)
    assert await keeper.retaining.may_cut(chain, 1, 2)
    assert (await keeper.retaining.cut(chain, 1, 2, checkpoint)).links == 2
    assert await keeper.reader.cursor(cut_mark(chain)) == 2
    # A second call finds nothing, whoever makes it.
    assert (await keeper.retaining.cut(chain, 1, 2, checkpoint)).links == 0
    await desk.commit(keeper.writer, lambda changes: changes.decisions.append(desk.decision()))
    left = await keeper.reader.seals(1, 1000, chain)
    assert left[0].n == 3
    assert left[0].prev == hash_2
    found = []
    for name in await keeper.reader.chains():
        for seal in await keeper.reader.seals(1, 1000, name):
            found += [one for one in json.loads(seal.decisions) if one["verb"] == "checkpoint"]
    assert [one["facts"] for one in found] == [{"links": 2}]
    assert (await keeper.retaining.cut(chain, 3, 3, checkpoint)).links == 1
    # The chain goes on where it was, also in the next life.
    await desk.admit(keeper.writer, event=desk.event("more"))
    again = await reopen()
    await desk.admit(again.writer, event=desk.event("much more"))
    seals = await again.reader.seals(1, 1000, chain)
    if again.reader.__class__.__name__ != "ModelReader":
        # A life of the model has a chain of its own.
        assert seals[0].n == 4
        assert all(one.hash == other.prev for one, other in pairwise(seals))


async def test_links_stay_while_a_journal_that_they_seal_is_kept(keeper, desk, closed) -> None:
    run_id = await closed()
    await desk.admit(keeper.writer, event=desk.event("e"))
    chains = [chain for chain in await keeper.reader.chains() if chain not in keeper.retaining.whole_chains]
    segments = await keeper.reader.journal(run_id)
    held = {(segment.chain if segment.chain in chains else chains[0], segment.n) for segment in segments}
    chain, n = min(held)
    assert not await keeper.retaining.may_cut(chain, 1, n)
    assert (await keeper.retaining.cut(chain, 1, n, checkpoint)).links == 0
    assert await keeper.reader.cursor(cut_mark(chain)) == 0
    assert n in await links(keeper, chain)
    desk.clock.at_us += DAY_US
    assert (await keeper.retaining.drop_runs([run_id], record)).runs == 1
    assert (await keeper.retaining.cut(chain, 1, n, checkpoint)).links == n


def revoked(record_removed: Removed) -> Decision:
    return Decision(verb=Verb.RETAIN, at_us=7, subject="revocations", facts={"count": record_removed.revocations})


async def test_revocations_go_only_when_no_run_can_hold_what_they_are_about(keeper, desk, closed) -> None:
    reader, retaining = keeper.reader, keeper.retaining
    run_id = await closed()

    async def revoke(kind: RevokedKind, name: str) -> Revocation:
        return await reader.revoke(Revocation(kind=kind, name=name, at_us=desk.clock.at_us, actor="a"))

    await revoke(RevokedKind.ID, "cap_1")
    await revoke(RevokedKind.KID, "k1")
    first = await revoke(RevokedKind.EPOCH, "acme")
    second = await revoke(RevokedKind.EPOCH, "acme")
    await revoke(RevokedKind.EPOCH, "other")
    last = await revoke(RevokedKind.ID, "cap_2")
    assert (first.epoch, second.epoch) == (1, 2)
    desk.clock.at_us += 10 * DAY_US
    now_us = desk.clock.at_us
    # The run began before: it may hold what was revoked, and whatever is forked from it.
    assert await retaining.count_revocations(now_us) == (1, first.at_us)
    assert (await retaining.drop_revocations(now_us, 10, revoked)).revocations == 1
    assert [one.name for one in (await reader.revocations(0, 10)).entries] == ["cap_1", "k1", "acme", "other", "cap_2"]
    assert (await retaining.drop_runs([run_id], record)).runs == 1
    # Not what is younger than was asked for.
    assert (await retaining.drop_revocations(first.at_us, 10, revoked)).revocations == 0
    assert (await retaining.drop_revocations(now_us, 10, revoked)).revocations == 1
    left = (await reader.revocations(0, 10)).entries
    # A key may be put back, a namespace has its newest, and the newest number of all is not given twice.
    assert [(one.name, one.epoch) for one in left] == [("k1", 0), ("acme", 2), ("other", 1), ("cap_2", 0)]
    assert (await revoke(RevokedKind.EPOCH, "acme")).epoch == 3
    assert (await revoke(RevokedKind.ID, "cap_3")).seq > last.seq + 1


async def test_a_run_that_began_a_moment_after_keeps_a_revocation(keeper, desk) -> None:
    entry = Revocation(kind=RevokedKind.ID, name="cap_1", at_us=desk.clock.at_us, actor="a")
    await keeper.reader.revoke(entry)
    await keeper.reader.revoke(Revocation(kind=RevokedKind.ID, name="cap_2", at_us=desk.clock.at_us, actor="a"))
    desk.clock.at_us += BORN_US - 2_000_000
    await desk.open(keeper.writer)
    assert await keeper.retaining.count_revocations(desk.clock.at_us + DAY_US) == (0, None)
