"""States of limits: of two changes to one version one wins, and what won is there after the process."""

from __future__ import annotations

import asyncio

from rco.store.contract.limit_states import LimitState


def state(name: str, version: int, body: bytes, kind: str = "limit") -> LimitState:
    return LimitState(kind, name, version, body)


async def test_a_store_begins_with_none(keeper):
    assert (await keeper.reader.limit_states("limit")).states == []
    assert (await keeper.reader.limit_states("limit", ["a"])).states == []
    assert (await keeper.reader.limit_states("limit", [])).states == []


async def test_the_next_version_is_written_and_no_other(keeper):
    reader = keeper.reader
    first, second = state("a", 1, b"1"), state("a", 2, b"2")
    assert (await reader.swap_limits([first])).states == [first]
    assert (await reader.swap_limits([second])).states == [second]
    for late in (
        state("a", 1, b"x"),
        state("a", 2, b"x"),
        state("a", 4, b"x"),
        state("b", 2, b"x"),
        state("b", 0, b""),
    ):
        assert (await reader.swap_limits([late])).states == []
    assert (await reader.limit_states("limit")).states == [second]


async def test_each_of_several_is_for_itself(keeper):
    reader = keeper.reader
    await reader.swap_limits([state("a", 1, b"1")])
    asked = [state("a", 1, b"again"), state("b", 1, b"\x00\xff"), state("a", 1, b"other", kind="closed")]
    assert {(one.kind, one.name) for one in (await reader.swap_limits(asked)).states} == {
        ("limit", "b"),
        ("closed", "a"),
    }
    assert [(one.name, one.body) for one in (await reader.limit_states("limit")).states] == [
        ("a", b"1"),
        ("b", b"\x00\xff"),
    ]
    assert [one.name for one in (await reader.limit_states("limit", ["b", "c"])).states] == ["b"]
    assert [one.body for one in (await reader.limit_states("closed")).states] == [b"other"]


async def test_of_many_at_once_one_wins_each_round(keeper):
    reader = keeper.reader
    for version in range(1, 6):
        rivals = [state("hot", version, b"%d" % number) for number in range(8)]
        answers = await asyncio.gather(*(reader.swap_limits([one]) for one in rivals))
        won = [one for answer in answers for one in answer.states]
        assert len(won) == 1
        assert (await reader.limit_states("limit")).states == won


async def test_counting_by_compare_and_swap_loses_nothing(keeper):
    reader = keeper.reader

    async def count(times: int) -> None:
        while times:
            stands = (await reader.limit_states("limit", ["n"])).states
            version, number = (stands[0].version, int(stands[0].body)) if stands else (0, 0)
            times -= len((await reader.swap_limits([state("n", version + 1, b"%d" % (number + 1))])).states)

    await asyncio.gather(*(count(10) for _ in range(4)))
    assert (await reader.limit_states("limit")).states == [state("n", 40, b"40")]


async def test_the_clock_of_the_database_does_not_go_back(keeper):
    reader = keeper.reader
    before = (await reader.limit_states("limit")).now_us
    written = (await reader.swap_limits([state("a", 1, b"")])).now_us
    assert 0 < before <= written <= (await reader.limit_states("limit")).now_us


async def test_they_outlive_the_process(keeper, home):
    await keeper.reader.swap_limits([state("a", 1, b"kept")])
    await keeper.stop()
    again = home.keeper()
    await again.start()
    try:
        assert (await again.reader.limit_states("limit")).states == [state("a", 1, b"kept")]
    finally:
        await again.stop()
