"""The collector beside writers that put, commit, crash, fork and drop in any order: what a live run refers to stays,
and what nothing refers to goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rco.kit.clock import MICROS
from rco.kit.ids import Ids
from rco.objects.memory import MemoryObjects
from rco.payloads.keeping import PayloadStore, name_of, prefix_of
from rco.payloads.sweeping import Sweeper

SPACE = "0011223344556677"
GRACE_S = 100.0
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.just(0)),
        st.tuples(st.just("commit"), st.integers(0, 5)),
        st.tuples(st.just("crash"), st.integers(0, 5)),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("fork"), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.integers(0, 5)),
        st.tuples(st.just("pass"), st.integers(1, 150)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=60,
)


@dataclass
class Clock:
    at_us: int = 1_800_000_000_000_000

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / 1e6


@dataclass
class World:
    """Runs by number, each with the objects it refers to. ``pending``: put, and to be committed within the grace;
    ``reads``: references that somebody has read of a run, and may commit for a fork within the grace."""

    clock: Clock = field(default_factory=Clock)
    runs: dict[int, set[bytes]] = field(default_factory=dict)
    pending: list[tuple[bytes, int]] = field(default_factory=list)
    reads: list[tuple[set[bytes], int]] = field(default_factory=list)
    count: int = 0

    # What the sweeper asks of the store.
    async def payloads_used(self, names: list[bytes]) -> set[bytes]:
        return {name for name in names if any(name in held for held in self.runs.values())}

    async def forget_payloads(self, names: list[bytes]) -> None:
        assert not await self.payloads_used(names), "what is used was forgotten"

    def open(self, held: set[bytes]) -> None:
        self.count += 1
        self.runs[self.count] = held


def in_time(at_us: int, now_us: int) -> bool:
    return now_us - at_us < GRACE_S * MICROS


async def walk(steps: list[tuple[str, int]], sweeper_of: Any = Sweeper) -> None:
    world = World()
    objects = MemoryObjects(world.clock, 1 << 30)
    store = PayloadStore(objects, SPACE, Ids(world.clock), over_bytes=1, timeout_s=5)
    sweeper = sweeper_of(objects, world, SPACE)
    for what, number in steps:
        now_us = world.clock.at_us
        # A writer that has let the grace pass is no writer any more: its lease is long gone.
        world.pending = [one for one in world.pending if in_time(one[1], now_us)]
        world.reads = [one for one in world.reads if in_time(one[1], now_us)]
        runs = sorted(world.runs)
        match what:
            case "put":
                world.pending.append(((await store.keep("default", b"some payload")).name, now_us))
            case "commit" if world.pending:
                world.open({world.pending.pop(number % len(world.pending))[0]})
            case "crash" if world.pending:
                world.pending.pop(number % len(world.pending))
            case "read" if runs:
                world.reads.append((set(world.runs[runs[number % len(runs)]]), now_us))
            case "fork" if world.reads:
                world.open(world.reads.pop(number % len(world.reads))[0])
            case "drop" if runs:
                del world.runs[runs[number % len(runs)]]
            case "pass":
                world.clock.at_us += number * MICROS
            case "look":
                await sweeper.look(now_us, GRACE_S)
            case _:
                pass
        there = {name_of(one.key) for one in await objects.listed(prefix_of(SPACE), "", 10_000)}
        held = set().union(*world.runs.values()) if world.runs else set()
        assert held <= there, f"{len(held - there)} payloads of live runs are gone after {what}"
    for _ in range(2):
        world.clock.at_us += round((GRACE_S + 1) * MICROS)
        await sweeper.look(world.clock.at_us, GRACE_S)
    there = {name_of(one.key) for one in await objects.listed(prefix_of(SPACE), "", 10_000)}
    held = set().union(*world.runs.values()) if world.runs else set()
    assert there == held, "what nobody refers to must go in the end"


@given(STEPS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_referred_to_stays_and_the_rest_goes(steps: list[tuple[str, int]]) -> None:
    asyncio.run(walk(steps))


FORK_LATE = [("put", 0), ("commit", 0), ("pass", 150), ("read", 0), ("drop", 0), ("look", 0), ("fork", 0)]
PUT_LATE = [("put", 0), ("look", 0), ("pass", 50), ("look", 0), ("commit", 0)]


class OneLook(Sweeper):
    """A planted bug: what is old and unused goes at the first look."""

    async def look(self, now_us: int, grace_s: float, *, preview: bool = False) -> Any:
        listed = await self._objects.listed(self._prefix, "", 1000)
        self._unused_since = {name_of(one.key) or b"": 0 for one in listed}
        return await super().look(now_us, grace_s, preview=preview)


class NoGrace(Sweeper):
    """A planted bug: what is unused goes."""

    async def look(self, now_us: int, grace_s: float, *, preview: bool = False) -> Any:
        return await super().look(now_us, 0.0, preview=preview)


@pytest.mark.parametrize(("bug", "steps"), [(OneLook, FORK_LATE), (NoGrace, PUT_LATE)])
async def test_planted_bugs_are_found(bug: type[Sweeper], steps: list[tuple[str, int]]) -> None:
    await walk(steps)
    with pytest.raises(AssertionError, match="payloads of live runs are gone"):
        await walk(steps, bug)
