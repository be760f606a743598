"""Keys of namespaces: an order that every node reads the same way, and nothing left of an erased one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from rco.errors import Conflict
from rco.store.contract.namespace_keys import NamespaceKey


def key(namespace: str, version: int = 1, wrapped: bytes = b"wrapped bytes that nobody may find again") -> NamespaceKey:
    return NamespaceKey(
        key_id=f"{namespace[:13]:-<13}{version:03}".encode(),
        namespace=namespace,
        version=version,
        root_kid="k1",
        wrapped=wrapped,
        made_us=7,
        from_us=9,
        actor="principal:admin",
        reason="it is law",
    )


async def test_a_store_begins_with_none(keeper: Any) -> None:
    page = await keeper.reader.namespace_keys(0, 10)
    assert (page.head, page.keys) == (0, [])


async def test_what_was_added_is_read_in_order_and_whole(keeper: Any) -> None:
    reader = keeper.reader
    added = [key("a"), key("b"), key("a", 2)]
    for one in added:
        await reader.add_namespace_key(one)
    page = await reader.namespace_keys(0, 10)
    assert [msgspec.structs.replace(one, seq=0) for one in page.keys] == added
    numbers = [one.seq for one in page.keys]
    assert numbers == sorted(set(numbers))
    assert page.head == numbers[-1]
    assert (await reader.namespace_keys(numbers[0], 1)).keys == page.keys[1:2]
    assert (await reader.namespace_keys(page.head, 10)).keys == []


async def test_a_version_is_there_once(keeper: Any) -> None:
    await keeper.reader.add_namespace_key(key("a"))
    other = msgspec.structs.replace(key("a"), key_id=b"another one's id")
    with pytest.raises(Conflict):
        await keeper.reader.add_namespace_key(other)
    assert [one.key_id for one in (await keeper.reader.namespace_keys(0, 10)).keys] == [key("a").key_id]


async def test_a_key_may_be_wrapped_anew(keeper: Any) -> None:
    reader = keeper.reader
    for one in (key("a"), key("b")):
        await reader.add_namespace_key(one)
    head = (await reader.namespace_keys(0, 10)).head
    await reader.rewrap_namespace_key(key("a").key_id, "k2", b"other bytes")
    (changed,) = (await reader.namespace_keys(head, 10)).keys
    assert (changed.namespace, changed.root_kid, changed.wrapped) == ("a", "k2", b"other bytes")


async def test_an_erased_one_stays_as_evidence_and_is_never_wrapped_again(keeper: Any) -> None:
    reader = keeper.reader
    for one in (key("a"), key("a", 2), key("b")):
        await reader.add_namespace_key(one)
    head = (await reader.namespace_keys(0, 10)).head
    assert await reader.erase_namespace_keys("a", 100, "principal:dpo", "asked to") == 2
    page = await reader.namespace_keys(head, 10)
    assert sorted(one.version for one in page.keys) == [1, 2]
    for one in page.keys:
        assert (one.wrapped, one.erased_us, one.erased_by, one.erased_why) == (b"", 100, "principal:dpo", "asked to")
        assert (one.actor, one.reason, one.made_us) == ("principal:admin", "it is law", 7)
    assert len({one.seq for one in page.keys}) == 2
    assert await reader.erase_namespace_keys("a", 200, "x", "again") == 0
    await reader.rewrap_namespace_key(key("a").key_id, "k2", b"back again")
    every = (await reader.namespace_keys(0, 10)).keys
    assert [(one.wrapped, one.erased_us) for one in every if one.namespace == "a"] == [(b"", 100)] * 2
    assert [one.wrapped for one in every if one.namespace == "b"] == [key("b").wrapped]


async def test_a_new_one_after_the_erased_ones(keeper: Any) -> None:
    reader = keeper.reader
    await reader.add_namespace_key(key("a"))
    await reader.erase_namespace_keys("a", 100, "x", "y")
    await reader.add_namespace_key(key("a", 2))
    found = {one.version: one.wrapped for one in (await reader.namespace_keys(0, 10)).keys}
    assert found == {1: b"", 2: key("a", 2).wrapped}


async def test_what_changes_at_the_same_time_is_missed_by_nobody(keeper: Any) -> None:
    reader = keeper.reader
    known: dict[bytes, NamespaceKey] = {}
    done = asyncio.Event()

    async def follow() -> None:
        after = 0
        while True:
            last = done.is_set()
            page = await reader.namespace_keys(after, 3)
            for one in page.keys:
                known[one.key_id] = one
                after = one.seq
            if last and not page.keys:
                return

    async def change(name: str) -> None:
        await reader.add_namespace_key(key(name))
        await reader.add_namespace_key(key(name, 2))
        await reader.rewrap_namespace_key(key(name).key_id, "k2", b"anew")
        if int(name) % 2:
            await reader.erase_namespace_keys(name, 5, "x", "y")

    following = asyncio.create_task(follow())
    await asyncio.gather(*(change(str(at)) for at in range(8)))
    done.set()
    await following
    every = {one.key_id: one for one in (await reader.namespace_keys(0, 100)).keys}
    assert known == every
    assert sum(one.erased_us is not None for one in every.values()) == 8
