"""Endpoints: of two changes to one version one wins, every change is read by number, what won outlives the process."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from rco.model.endpoint import Endpoint, EndpointState, SigningSecret


def endpoint(name: str, version: int = 1, note: str = "") -> Endpoint:
    secret = SigningSecret(secret_id="s1", kind="v1", sealed=b"\x00\xff", made_us=3, expires_us=9)
    return Endpoint(
        endpoint_id=name,
        namespace="tenant",
        version=version,
        url="https://example.com/hook?x=1",
        types=("order.*", "paid"),
        secrets=(secret,),
        since_us=5,
        order_by=".data.order",
        note=note,
        created_us=5,
    )


async def test_a_store_begins_with_none(keeper):
    assert await keeper.reader.endpoint("a") is None
    page = await keeper.reader.endpoints(0, 10)
    assert (page.last, page.endpoints) == (0, [])


async def test_the_next_version_is_written_and_no_other(keeper):
    reader = keeper.reader
    assert await reader.swap_endpoint(endpoint("a"))
    assert await reader.swap_endpoint(endpoint("a", 2, "second"))
    for late in (
        endpoint("a", 1, "x"),
        endpoint("a", 2, "x"),
        endpoint("a", 4, "x"),
        endpoint("b", 2),
        endpoint("b", 0),
    ):
        assert not await reader.swap_endpoint(late)
    assert await reader.endpoint("a") == endpoint("a", 2, "second")
    assert await reader.endpoint("b") is None


async def test_every_change_is_behind_the_last_number_that_was_read(keeper):
    reader = keeper.reader
    for name in "abc":
        await reader.swap_endpoint(endpoint(name))
    first = await reader.endpoints(0, 2)
    assert [one.endpoint_id for one in first.endpoints] == ["a", "b"]
    second = await reader.endpoints(first.last, 2)
    assert [one.endpoint_id for one in second.endpoints] == ["c"]
    gone = replace(endpoint("a", 2), state=EndpointState.DELETED, secrets=(), url="")
    await reader.swap_endpoint(gone)
    third = await reader.endpoints(second.last, 2)
    assert third.endpoints == [gone]
    assert (await reader.endpoints(third.last, 2)).endpoints == []
    assert (await reader.endpoints(third.last, 2)).last == third.last
    assert [one.endpoint_id for one in (await reader.endpoints(0, 10)).endpoints] == ["b", "c", "a"]


async def test_of_many_at_once_one_wins_each_round(keeper):
    reader = keeper.reader
    for version in range(1, 6):
        rivals = [endpoint("hot", version, str(number)) for number in range(8)]
        won = [
            one
            for one, did in zip(rivals, await asyncio.gather(*map(reader.swap_endpoint, rivals)), strict=True)
            if did
        ]
        assert len(won) == 1
        assert await reader.endpoint("hot") == won[0]
    assert len((await reader.endpoints(0, 10)).endpoints) == 1


async def test_they_outlive_the_process(keeper, home):
    await keeper.reader.swap_endpoint(endpoint("a", note="kept"))
    await keeper.stop()
    again = home.keeper()
    await again.start()
    try:
        assert await again.reader.endpoint("a") == endpoint("a", note="kept")
    finally:
        await again.stop()
