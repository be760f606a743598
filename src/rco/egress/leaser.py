"""The leaser: keeps what this node may use of shared limits as large as its calls need, a block at a time.

It works beside the calls: whoever finds a permit and a token here never waits for it. It asks ahead of need, for all
limits in one exchange with the store, as often as is needed and not at all while nothing is called. What is not used
goes back. Everything that was given counts only for a time, by the database's clock, so a node that falls silent stops
using it before anybody else is given it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator

from rco.egress import ledger as rules
from rco.egress.budgets import BudgetShare
from rco.egress.ledger import Ledger, Pace, pace_of
from rco.egress.limits import Limits
from rco.egress.store_time import StoreTime
from rco.kit.clock import MICROS, Clock
from rco.kit.lifecycle import stop_task
from rco.store.contract.limit_states import LimitState, LimitStates

__all__ = ["KIND", "Leaser"]

KIND = "limit"
TTL_S = 4.0
"""So long permits may be used after they were last renewed."""
MARGIN_S = 0.25
_BUSY_S, _PRESSED_S = 0.25, 0.03
_IDLE_S = 1.0
_AHEAD_S = 0.3
_MOST_AHEAD_S = 0.5
_TURN_S = 0.05
_CAS_TRIES = 20
_TRUST_S = 10.0
_HIT_S = 0.002
_MOMENT_S = 0.001


class _Lease:
    """One limit with what the leaser knows of it."""

    __slots__ = (
        "asked",
        "before",
        "call_s",
        "cap",
        "due_s",
        "limits",
        "per_s",
        "quiet_s",
        "seen_s",
        "state",
        "taken",
    )

    def __init__(self, limits: Limits, call_s: float, before: _Lease | None) -> None:
        self.limits, self.call_s, self.before = limits, call_s, before
        self.cap: float = limits.concurrency if limits.concurrency is not None else math.inf
        self.state: LimitState | None = None
        self.due_s = math.inf
        """When it is looked at next, by itself."""
        self.asked = 0
        self.taken: dict[str, int] = {}
        self.per_s = 0.0
        """Calls a second, of late."""
        self.seen_s = 0.0
        self.quiet_s = 0.0
        """Since when nobody has asked for anything."""

    @property
    def old(self) -> int:
        """Calls still under way under earlier declarations of the same limit."""
        while self.before is not None and not self.before.limits.in_flight:
            self.before = self.before.before
        return 0 if self.before is None else self.before.limits.in_flight + self.before.old

    @property
    def holds(self) -> bool:
        """Whether anything here would have to go back."""
        limits = self.limits
        leased = limits.leased and limits.concurrency is not None and limits.allowance > 0
        return leased or any(share.left for share in limits.budgets)


class Leaser:
    """Belongs to one event loop; a ``Lives``. ``holder`` is the name of this process's life: no other has it."""

    def __init__(
        self,
        store: LimitStates,
        holder: str,
        clock: Clock,
        *,
        random: Callable[[], float],
        trouble: Callable[[BaseException], None] = lambda _: None,
        ttl_s: float = TTL_S,
    ) -> None:
        self._store, self._holder, self._clock = store, holder, clock
        self._random, self._trouble, self._ttl_s = random, trouble, ttl_s
        self._leases: dict[str, _Lease] = {}
        self._wanted: set[str] = set()
        self._poke = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._time: StoreTime | None = None
        self._hit_s = _HIT_S
        """How long a slot must be good for, for us to hit it."""
        self._turn = 0
        self.exchanges = 0
        """Rounds with the store."""
        self.lost = 0
        """Rounds in which another node was faster."""

    # -- what is leased --------------------------------------------------------------------------------------------

    def add(self, limits: Limits, call_s: float) -> None:
        """Lease for ``limits`` from now on, instead of others of the same scope. ``call_s``: the longest that a call
        under it may be under way."""
        scope = limits.scope
        before = self._leases.get(scope)
        lease = self._leases[scope] = _Lease(limits, call_s, before)
        if before is not None:
            lease.state = before.state
            # What is under way under the old numbers is still under way.
            lease.call_s = max(call_s, before.call_s)
        limits.need = lambda: self._need(scope)
        if limits.slots is not None:
            limits.slots.time = self._known_time

    def _known_time(self) -> StoreTime | None:
        return self._time

    def _need(self, scope: str) -> None:
        self._wanted.add(scope)
        self._poke.set()

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """From now on it leases what is needed. The store is first asked when something is."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name="rco-limits")

    async def stop(self) -> None:
        """Give back what is not used. May be called before ``start`` and twice."""
        task, self._task = self._task, None
        if task is None:
            return
        await stop_task(task)
        back = [lease for lease in self._leases.values() if lease.holds]
        for lease in back:
            lease.cap = 0
        try:
            async with asyncio.timeout(self._ttl_s):
                await self._exchange(back, ending=True)
        except Exception as problem:  # noqa: BLE001 - what is not given back runs out
            self._trouble(problem)

    async def _work(self) -> None:
        pause_s = _PRESSED_S
        while True:
            # One after the other, so that what comes within a moment shares an exchange.
            await self._until_due()
            due = list(self._due())
            if not due:
                continue
            try:
                await self._exchange(due)
                pause_s = _PRESSED_S
            except Exception as problem:  # noqa: BLE001 - it goes on when the store answers
                self._trouble(problem)
                for lease in due:
                    _forfeit(lease)
                pause_s = min(1.0, pause_s * 2)
                now = self._clock.monotonic()
                for lease in due:
                    lease.due_s = now + pause_s
            await asyncio.sleep(pause_s * (0.5 + self._random()) if pause_s > _PRESSED_S else _MOMENT_S)

    async def _until_due(self) -> None:
        if not self._wanted:
            next_s = min((lease.due_s for lease in self._leases.values()), default=math.inf)
            left_s = next_s - self._clock.monotonic()
            if left_s > 0:
                self._poke.clear()
                try:
                    async with asyncio.timeout(None if left_s is math.inf else max(left_s, _MOMENT_S)):
                        await self._poke.wait()
                except TimeoutError:
                    pass

    def _due(self) -> Iterator[_Lease]:
        wanted, self._wanted = self._wanted, set()
        now = self._clock.monotonic()
        for scope, lease in self._leases.items():
            # Somebody who waits is looked after at once, but not again before an answer could have changed.
            if lease.due_s <= now or (scope in wanted and lease.due_s > now + _PRESSED_S):
                yield lease

    # -- exchanging ------------------------------------------------------------------------------------------------

    async def _exchange(self, leases: Iterable[_Lease], *, ending: bool = False) -> None:
        todo = list(leases)
        if self._time is None or self._clock.monotonic() - self._time.heard_s > _TRUST_S:
            await self._read(todo)
        for _ in range(_CAS_TRIES):
            if not todo:
                return
            assert self._time is not None
            self._turn += 1
            now_s = self._clock.monotonic()
            asked: list[LimitState] = []
            asks: list[tuple[_Lease, _Ask, LimitState]] = []
            for lease in todo:
                state = lease.state
                book = Ledger() if state is None else rules.decode(state.body)
                book.by, book.turn = self._holder, self._turn
                ask = _Ask(lease, book, self._holder, self._time, now_s, self._ttl_s, self._hit_s, ending)
                version = 1 if state is None else state.version + 1
                asked.append(LimitState(KIND, lease.limits.scope, version, rules.encode(book)))
                asks.append((lease, ask, asked[-1]))
            self.exchanges += 1
            asked_s = self._clock.monotonic()
            answer = await self._store.swap_limits(asked)
            self._heard(asked_s, answer.now_us)
            won = {state.name for state in answer.states}
            behind = [lease for lease, _, _ in asks if lease.limits.scope not in won]
            if behind:
                self.lost += 1
                await self._read(behind)
            todo = []
            for lease, ask, state in asks:
                if lease.limits.scope in won:
                    lease.state = state
                elif lease.state != state:
                    if lease.state is not None and lease.state.version > state.version:
                        # Ours may have been written, and others since, before the store was asked the second time.
                        _forfeit(lease)
                    todo.append(lease)
                    continue
                # Else the answer was lost and the store was asked twice: it was written all the same.
                ask.grant(self._time, self._clock.monotonic())
        for lease in todo:
            # Others were faster each time. Who waits has asked once and will not ask again.
            lease.due_s = self._clock.monotonic() + _PRESSED_S

    def _heard(self, asked_s: float, now_us: int) -> None:
        """The store has told its time; the answer that leaves least in doubt is kept for a while."""
        now_s = self._clock.monotonic()
        heard = StoreTime(asked_s, now_s, now_us)
        # One answer that took long, or was lost, says little of the next: too narrow a window costs a slot, too wide a
        # one costs every slot behind it.
        self._hit_s = max(2 * heard.vague_s(now_s) + _HIT_S, 0.5 * self._hit_s)
        old = self._time
        if old is None or now_s - old.heard_s > _TRUST_S or heard.vague_s(now_s) <= old.vague_s(now_s):
            self._time = heard

    async def _read(self, leases: list[_Lease]) -> None:
        asked_s = self._clock.monotonic()
        answer = await self._store.limit_states(KIND, [lease.limits.scope for lease in leases])
        self._heard(asked_s, answer.now_us)
        found = {state.name: state for state in answer.states}
        for lease in leases:
            lease.state = found.get(lease.limits.scope)


def _forfeit(lease: _Lease) -> None:
    """What was to be given back of budgets may have been given back; twice would be once too often."""
    for share in lease.limits.budgets:
        share.back = 0


class _Ask:
    """What one limit asks for, worked into its ledger; and what it gets, once that is written."""

    def __init__(
        self,
        lease: _Lease,
        book: Ledger,
        who: str,
        time: StoreTime,
        now_s: float,
        ttl_s: float,
        hit_s: float,
        ending: bool,
    ) -> None:
        self._now_us = now_us = time.surely_us(now_s)
        self._lease, self._ttl_us = lease, int(ttl_s * MICROS)
        self._reckon(now_s)
        limits = lease.limits
        active = not ending and (bool(limits.in_flight or limits.waiting) or now_s - lease.quiet_s < _IDLE_S)
        self._active = active
        self._held = self._cap = -1
        self._slots = self._first_us = 0
        self._given: list[tuple[BudgetShare, str, int, int, bool]] = []
        self._fair = 0
        self._old = lease.old
        self._promised = 0
        """Permits for calls whose slot is about to come: they go back behind it."""
        if limits.leased and limits.concurrency is not None:
            if active and limits.slots is not None and limits.waiting:
                self._promised = limits.in_flight + min(limits.slots.ahead(), limits.waiting)
            want = 0
            if active:
                want = min(limits.concurrency, limits.in_flight + limits.waiting + max(1, limits.in_flight // 4))
            # From here on no more than this is used, whatever becomes of the question.
            limits.allowance = min(limits.allowance, want, max(lease.cap, self._promised))
            keep = max(limits.in_flight, int(limits.allowance))
            self._held, self._cap, self._fair = rules.hold(
                book,
                who,
                keep=keep + self._old,
                want=max(want, keep) + self._old,
                capacity=limits.concurrency,
                now_us=now_us,
                ttl_us=self._ttl_us,
                call_us=int(lease.call_s * MICROS),
            )
        self._pace: Pace | None = None
        # Who holds no permit would take slots that nobody can use.
        if limits.rate_per_s is not None and limits.slots is not None and active and self._held:
            self._pace = pace_of(limits.rate_per_s, limits.burst, hit_s)
            most = max(1, math.ceil(limits.rate_per_s * _MOST_AHEAD_S))
            if self._held > 0 and not self._fair:
                # There are fewer permits than nodes and they go round: so many as are used in one turn.
                turn_s = max(_TURN_S, hit_s, self._pace.window_us / MICROS / 2)
                turn = max(self._held, math.ceil(limits.rate_per_s * turn_s))
                most = 0 if self._cap < self._held else min(most, turn)
            want = min(most, limits.waiting + math.ceil(lease.per_s * _AHEAD_S)) - limits.slots.ahead()
            if want > 0:
                self._slots = want
                self._first_us = rules.slots(book, self._pace, want, now_us)
        for share in limits.budgets:
            self._share(book, share, now_us, now_s, active)

    def _reckon(self, now_s: float) -> None:
        """How many calls a second there are of late, and since when there are none."""
        lease, limits = self._lease, self._lease.limits
        new, lease.asked = limits.asked - lease.asked, limits.asked
        passed_s = now_s - lease.seen_s
        if new or limits.in_flight or limits.waiting:
            lease.quiet_s = now_s
        if passed_s > 0.01:
            weight = min(1.0, passed_s)
            lease.per_s += weight * (new / passed_s - lease.per_s)
            lease.seen_s = now_s
        else:
            lease.asked -= new

    def _share(self, book: Ledger, share: BudgetShare, now_us: int, now_s: float, active: bool) -> None:
        taken, before = share.taken, self._lease.taken.get(share.key, 0)
        over = now_s >= share.until_s
        if over:
            share.left = share.back = 0
        elif not active:
            share.back, share.left = share.back + share.left, 0
        left = share.left
        if not active:
            want = 0
        else:
            # As much as was used since the last exchange twice over, and what the calls that wait need.
            need = max(taken - before, 0) * 2 + share.costs(1) * self._lease.limits.waiting
            want = max(need, share.costs(self._lease.limits.dearest)) - left
        if want <= 0 and not share.back:
            return
        period, amount, end_us = rules.give(
            book, share.key, limit=share.limit, want=max(0, want), back=(share.period, share.back), now_us=now_us
        )
        self._given.append((share, period, amount, end_us, active and amount < want))

    def grant(self, time: StoreTime, now_s: float) -> None:
        """It is written: use it."""
        lease, limits = self._lease, self._lease.limits
        pressed = False
        if self._held >= 0:
            lease.cap = self._cap
            # What is to go to others goes on to nobody here: it goes back when the call that has it ends.
            limits.allowance = max(0, min(self._held, max(self._cap, self._promised)) - self._old)
            until_s = time.not_after_s(self._now_us + self._ttl_us) - MARGIN_S
            limits.good_until_s = max(limits.good_until_s, until_s)
            pressed = self._cap < self._held or (limits.waiting > 0 and self._held < max(1, self._fair))
        if self._slots and self._pace is not None and limits.slots is not None:
            for number in range(self._slots):
                at_us = self._first_us + int(number * self._pace.apart_us)
                limits.slots.add(at_us, at_us + self._pace.window_us)
        for share, period, amount, end_us, short in self._given:
            share.back = 0
            lease.taken[share.key] = share.taken
            if period != share.period:
                share.period, share.left = period, 0
            share.left += amount
            share.until_s = time.not_after_s(end_us)
            if short and share.left < share.costs(limits.dearest):
                share.empty_until_s = time.not_before_s(end_us)
        limits.pump()
        if pressed:
            lease.due_s = now_s + _PRESSED_S
        elif limits.waiting:
            lease.due_s = now_s + _BUSY_S / 2
        elif self._active or lease.holds:
            lease.due_s = now_s + (_BUSY_S if limits.leased else _IDLE_S)
        else:
            lease.due_s = math.inf
