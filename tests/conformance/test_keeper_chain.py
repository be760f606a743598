"""Each commit adds one link to the chain, with a leaf for every segment, over restarts."""

from __future__ import annotations

import asyncio

import msgspec

from rco.audit.link import GENESIS, leaf_digest
from rco.model.run import Outcome
from rco.store.contract.changes import Ended


async def _work(keeper, desk) -> None:
    run_id = await desk.open(keeper.writer)
    await desk.commit(keeper.writer, lambda c: c.drafts.append(desk.draft(run_id, 1, b"a", b"b")))
    await desk.commit(keeper.writer, lambda c: c.decisions.append(desk.decision("config changed")))
    changes = keeper.writer.changes(0)
    changes.drafts.append(desk.draft(run_id, 3, b"end"))
    changes.ended.append(Ended(run_id, Outcome.COMPLETED, 1))
    admissions = [desk.admission(opened=[(desk.row(), b"start %d" % at), (desk.row(), b"more")]) for at in range(2)]
    changes.admissions += [admission for admission, _ in admissions]
    await asyncio.gather(*(future for _, future in admissions))


async def test_links_are_contiguous_and_each_carries_the_one_before(keeper, desk, reopen):
    assert await keeper.reader.head() is None
    await _work(keeper, desk)
    keeper = await reopen()
    await _work(keeper, desk)
    links = await keeper.reader.seals(0, 100)
    assert [link.n for link in links] == list(range(1, len(links) + 1))
    assert [link.prev for link in links] == [GENESIS, *(link.hash for link in links[:-1])]
    assert len({link.epoch for link in links}) == 2
    assert links[-1].epoch == keeper.epoch
    assert await keeper.reader.head() == links[-1]
    assert await keeper.reader.seals(links[2].n, 2) == links[2:4]


async def test_leaves_are_the_digests_of_the_segments_in_their_order(keeper, desk, reopen):
    for _ in range(2):
        await _work(keeper, desk)
        keeper = await reopen()
    links = await keeper.reader.seals(0, 100)
    everything = []
    for link in links:
        segments = await keeper.reader.segments(link.n, link.n)
        assert all(segment.n == link.n for segment in segments)
        assert link.leaves == b"".join(leaf_digest(s.run_id, s.first_seq, s.data) for s in segments)
        everything += segments
    assert [len(link.leaves) // 32 for link in links[:4]] == [1, 1, 0, 5]
    assert await keeper.reader.segments(1, len(links)) == everything
    assert await keeper.reader.segments(2, 3) == [s for s in everything if s.n in (2, 3)]
    assert await keeper.reader.segments(len(links) + 1, len(links) + 9) == []


async def test_decisions_are_in_the_link_of_their_commit(keeper, desk):
    await _work(keeper, desk)
    subjects = [
        # Under which leases it writes, a keeper of many nodes says by itself.
        [one["subject"] for one in msgspec.json.decode(link.decisions) if one.get("reason") != "leases"]
        for link in await keeper.reader.seals(0, 100)
    ]
    assert subjects == [[], [], ["config changed"], []]


async def test_an_idle_keeper_adds_no_links(keeper, desk):
    await desk.open(keeper.writer)
    before = await keeper.reader.head()
    keeper.writer.changes(0)
    await asyncio.sleep(0)
    await desk.open(keeper.writer)
    assert (await keeper.reader.head()).n == before.n + 1
