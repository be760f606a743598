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
from rco.model.target import Target
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
