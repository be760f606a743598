"""Revocations: an order that every node reads the same way."""

from __future__ import annotations

import asyncio

import msgspec

from rco.store.contract.revocations import Revocation, RevokedKind


def entry(kind: RevokedKind, name: str, reason: str = "lost laptop") -> Revocation:
    return Revocation(kind=kind, name=name, at_us=7, actor="principal:admin", reason=reason)


async def test_a_store_begins_with_none(keeper):
    page = await keeper.reader.revocations(0, 10)
    assert (page.head, page.entries) == (0, [])


async def test_what_was_revoked_is_read_in_order_and_whole(keeper):
    reader = keeper.reader
    first = await reader.revoke(entry(RevokedKind.ID, "cap_1"))
    second = await reader.revoke(entry(RevokedKind.KID, "k1", reason="it was in a \0 backup"))
    third = await reader.revoke(entry(RevokedKind.EPOCH, "default"))
    page = await reader.revocations(0, 10)
    assert page.entries == [first, second, third]
    assert page.head == third.seq
    assert first.seq < second.seq < third.seq
    assert msgspec.structs.replace(first, seq=0) == entry(RevokedKind.ID, "cap_1")
    assert (await reader.revocations(first.seq, 1)).entries == [second]
    assert (await reader.revocations(third.seq, 10)).entries == []
    assert (await reader.revocations(third.seq, 10)).head == third.seq


async def test_an_id_and_a_kid_are_revoked_once(keeper):
    reader = keeper.reader
    for kind in (RevokedKind.ID, RevokedKind.KID):
        first = await reader.revoke(entry(kind, "the-same"))
        assert await reader.revoke(entry(kind, "the-same", reason="again")) == first
    assert [one.kind for one in (await reader.revocations(0, 10)).entries] == [RevokedKind.ID, RevokedKind.KID]


async def test_each_call_raises_a_namespaces_epoch(keeper):
    reader = keeper.reader
    epochs = [(await reader.revoke(entry(RevokedKind.EPOCH, name))).epoch for name in ("a", "a", "b", "a")]
    assert epochs == [1, 2, 1, 3]
    assert (await reader.revoke(entry(RevokedKind.ID, "a"))).epoch == 0


async def test_many_at_a_time_get_a_number_each_and_no_page_ever_lacks_a_smaller_one(keeper):
    reader = keeper.reader
    seen: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        """As a node does: ask for what is behind the last number it has."""
        while True:
            last = done.is_set()
            page = await reader.revocations(seen[-1] if seen else 0, 5)
            seen.extend(one.seq for one in page.entries)
            if last and not page.entries:
                return

    following = asyncio.create_task(follow())
    given = await asyncio.gather(*(reader.revoke(entry(RevokedKind.ID, f"cap_{n}")) for n in range(40)))
    done.set()
    await following
    assert sorted(one.seq for one in given) == seen
    assert len(set(seen)) == 40


async def test_they_outlive_the_process(keeper, home):
    await keeper.reader.revoke(entry(RevokedKind.ID, "cap_1"))
    await keeper.stop()
    again = home.keeper()
    await again.start()
    try:
        assert [one.name for one in (await again.reader.revocations(0, 10)).entries] == ["cap_1"]
    finally:
        await again.stop()
