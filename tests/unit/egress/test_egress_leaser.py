"""A share of a limit is asked for until it is had, however often other nodes are faster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rco.egress import ledger
from rco.egress.ledger import Ledger
from rco.egress.passage import Passage
from rco.egress.scopes import Scopes
from rco.egress.sharing import Sharing
from rco.kit.clock import SystemClock
from rco.model.target import Budget, Target
from rco.store.contract.limit_states import LimitState, StatesRead


class Contended:
    """A store in which somebody else writes first, so many times."""

    def __init__(self, clock: SystemClock, lost: int) -> None:
        self._clock, self.lost = clock, lost
        self._states: dict[str, LimitState] = {}

    async def limit_states(self, kind: str, names: Sequence[str] | None = None) -> StatesRead:
        found = [state for name, state in sorted(self._states.items()) if state.kind == kind]
        return StatesRead(self._clock.now_us(), [one for one in found if names is None or one.name in names])

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        written: list[LimitState] = []
        for state in states:
            stands = self._states.get(state.name)
            version = 0 if stands is None else stands.version
            if self.lost:
                self.lost -= 1
                self._states[state.name] = LimitState(state.kind, state.name, version + 1, ledger.encode(Ledger()))
            elif state.version == version + 1:
                self._states[state.name] = state
                written.append(state)
        return StatesRead(self._clock.now_us(), written)


async def test_who_waits_for_a_share_gets_it_after_others_were_faster_many_times() -> None:
    clock = SystemClock()
    store = Contended(clock, lost=55)
    sharing = Sharing(store, "one", clock, leased=True, random=lambda: 0.5)
    scopes = Scopes(clock, sharing.leaser, leased=True)
    target = Target(name="shop", base_url="http://shop", allow=[], concurrency=1)
    scopes.declare([target], {})
    await sharing.start()
    try:
        passage = Passage((scopes.of_target(target),), 1)
        async with asyncio.timeout(30):
            assert passage.slip_in() or await passage.enter(clock.monotonic() + 1000.0, "") is None
        passage.leave()
    finally:
        await sharing.stop()
    assert store.lost == 0


class Overtaken(Contended):
    """Once, what is written is not answered, and somebody else has written since when the store is asked again."""

    swallow = False

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        if not self.swallow:
            return await super().swap_limits(states)
        self.swallow = False
        await super().swap_limits(states)
        for state in states:
            book = ledger.decode(state.body)
            book.spent[KEY].given += 3
            self._states[state.name] = LimitState(state.kind, state.name, state.version + 1, ledger.encode(book))
        return StatesRead(self._clock.now_us(), [])

    @property
    def given(self) -> int:
        """How much of the budget is given away."""
        books = [ledger.decode(state.body) for state in self._states.values()]
        return sum(book.spent[KEY].given for book in books if KEY in book.spent)


KEY = "calls/hour"


async def test_what_was_given_back_is_not_given_back_once_more_when_the_answer_was_lost() -> None:
    clock = SystemClock()
    store = Overtaken(clock, lost=0)
    sharing = Sharing(store, "one", clock, leased=True, random=lambda: 0.5)
    scopes = Scopes(clock, sharing.leaser, leased=True)
    target = Target(name="shop", base_url="http://shop", allow=[], budgets=[Budget(calls=12, per="hour")])
    scopes.declare([target], {})
    await sharing.start()
    try:
        passage = Passage((scopes.of_target(target),), 1)
        async with asyncio.timeout(30):
            assert passage.slip_in() or await passage.enter(clock.monotonic() + 1000.0, "") is None
            passage.leave()
            # Of what was used once, twice as much is leased for what may come.
            while store.given < 3:
                await asyncio.sleep(0.01)
        store.swallow = True
    finally:
        await sharing.stop()
    assert not store.swallow
    # One was used here, three by somebody else.
    assert store.given == 1 + 3
