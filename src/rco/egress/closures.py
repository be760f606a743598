"""What is closed, on all nodes: by an operator's switch, by a target that asked for a pause, by a breaker that opened.

A closure is written down first and holds here at once; other nodes read what is closed when they are told that it has
changed, and, as the word of it may be lost, every ``BEAT_S`` as long as they make calls. It survives restarts. Times
are the database's, so nodes whose clocks differ agree on when it ends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

import msgspec

from rco.egress.store_time import StoreTime
from rco.errors import StoreError
from rco.kit.clock import MICROS, Clock
from rco.kit.lookout import Hear, Lookout, deaf
from rco.store.contract.limit_states import CLOSED, LimitState, LimitStates

__all__ = ["BEAT_S", "BREAKER", "KIND", "PAUSE", "SWITCH", "Closed", "Closures"]

KIND = CLOSED
SWITCH, PAUSE, BREAKER = "switch", "pause", "breaker"
BEAT_S = 0.8
_CAS_TRIES = 20
_WORTH_S = 0.1


class Closed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One closure as it is written down. ``until_us`` is the database's time; 0: until somebody opens it."""

    shut: bool
    until_us: int = 0
    at_us: int = 0
    actor: str = ""
    reason: str = ""
    by: str = ""
    """The life of the node that wrote it."""
    probe_by: str = ""
    """Which node's life makes the one call that may close a breaker again, until ``probe_until_us``."""
    probe_until_us: int = 0


class _Known(msgspec.Struct, frozen=True):
    state: LimitState
    closed: Closed
    until_s: float
    """On the monotonic clock."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Closed).decode


class Closures:
    """Belongs to one event loop; a ``Lives``. ``changed(scope, why)`` is told of everything that begins or ends by a
    word from the store; what ends by time does so silently."""

    def __init__(
        self,
        store: LimitStates,
        holder: str,
        clock: Clock,
        *,
        shared: bool,
        trouble: Callable[[BaseException], None] = lambda _: None,
        beat_s: float = BEAT_S,
        hear: Hear = deaf,
    ) -> None:
        self._store, self._holder, self._clock, self._shared = store, holder, clock, shared
        self._trouble = trouble
        self._hear, self._told, self._changed = hear, False, False
        self._lookout = Lookout(self._look, beat_s=beat_s, trouble=trouble, within_s=2.0, name="rco-closures")
        self._known: dict[tuple[str, str], _Known] = {}
        self._time: StoreTime | None = None
        self._writing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.changed: Callable[[str, str], None] = _nobody
        self.watched: Callable[[], bool] = _always
        """Whether there is anything that could be closed: where there is not, the store is not asked."""
        self.busy: Callable[[], bool] = _always
        """Whether calls were made since it was asked last. Who is told of changes asks the store only then."""
        self.switched: frozenset[str] = frozenset()
        """Scopes that an operator has closed, some perhaps only until a time that has come."""

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when what is closed is known. Raises ``StoreError`` when the store gives no answer."""
        if not self._shared:
            await self.read()
            return
        self._told = self._hear(self._heard)
        await self._lookout.start()

    async def stop(self) -> None:
        """May be called before ``start`` and twice. What was to be written is written, or given up in a moment."""
        await self._lookout.stop()
        if self._writing:
            await asyncio.wait(list(self._writing.values()), timeout=1.0)

    def _heard(self) -> None:
        self._changed = True
        self._lookout.poke()

    async def _look(self) -> None:
        wanted = self._changed or self._time is None or (self.watched() and (not self._told or self.busy()))
        if not wanted:
            return
        self._changed = False
        try:
            await self.read()
        except BaseException:
            self._changed = True
            raise

    async def read(self) -> None:
        """Ask once and take in what is new."""
        asked_s = self._clock.monotonic()
        answer = await self._store.limit_states(KIND)
        self._time = StoreTime(asked_s, self._clock.monotonic(), answer.now_us)
        for state in answer.states:
            scope, _, why = state.name.rpartition("|")
            self._take_in(scope, why, state)

    def _take_in(self, scope: str, why: str, state: LimitState) -> None:
        before = self._known.get((scope, why))
        if before is not None and before.state.version >= state.version:
            return
        assert self._time is not None
        closed = _decode(state.body)
        until_s = math.inf if not closed.until_us else self._time.not_before_s(closed.until_us)
        self._known[scope, why] = _Known(state, closed, until_s if closed.shut else 0.0)
        self.switched = frozenset(of for (of, by), one in self._known.items() if by == SWITCH and one.until_s > 0)
        self.changed(scope, why)

    # -- asking ----------------------------------------------------------------------------------------------------

    def left_s(self, scope: str, why: str) -> float:
        """How long it is closed still; 0 when it is not, infinite until somebody opens it."""
        known = self._known.get((scope, why))
        return 0.0 if known is None else max(0.0, known.until_s - self._clock.monotonic())

    def closed(self, scope: str, why: str) -> Closed | None:
        """What closes ``scope`` now, or ``None``."""
        known = self._known.get((scope, why))
        return known.closed if known is not None and known.until_s > self._clock.monotonic() else None

    def first_switched(self, scopes: Iterable[str]) -> str | None:
        """The first of these scopes that an operator has closed."""
        return next((scope for scope in scopes if scope in self.switched and self.left_s(scope, SWITCH) > 0), None)

    def all(self) -> list[tuple[str, str, Closed]]:
        """(scope, why, closure) of everything that is closed now."""
        now = self._clock.monotonic()
        return [(*key, one.closed) for key, one in sorted(self._known.items()) if one.until_s > now]

    # -- changing --------------------------------------------------------------------------------------------------

    async def close(
        self, scope: str, why: str, *, for_s: float | None = None, actor: str = "", reason: str = ""
    ) -> Closed:
        """Close ``scope``; durable and true here when this returns. Longer than it is closed already, or nothing
        changes but for a switch, whose reason is the newest one's."""

        def change(before: Closed | None, now_us: int) -> Closed | None:
            until_us = 0 if for_s is None else now_us + int(for_s * MICROS)
            if before is not None and before.shut and why != SWITCH and before.until_us >= until_us > 0:
                return None
            return Closed(shut=True, until_us=until_us, at_us=now_us, actor=actor, reason=reason, by=self._holder)

        return await self._change(scope, why, change)

    async def open(self, scope: str, why: str, *, actor: str = "", reason: str = "") -> Closed:
        """Open ``scope`` again. A second call changes nothing."""

        def change(before: Closed | None, now_us: int) -> Closed | None:
            if before is None or not before.shut:
                return None
            return Closed(shut=False, at_us=now_us, actor=actor, reason=reason, by=self._holder)

        return await self._change(scope, why, change)

    async def claim_probe(self, scope: str, for_s: float) -> bool:
        """Whether this node is the one that may try whether ``scope`` answers again, for as long as ``for_s``."""
        mine = self._holder

        def change(before: Closed | None, now_us: int) -> Closed | None:
            if before is None or not before.shut or (before.probe_by and before.probe_until_us > now_us):
                return None
            return msgspec.structs.replace(before, by=mine, probe_by=mine, probe_until_us=now_us + int(for_s * MICROS))

        now = await self._change(scope, BREAKER, change)
        return not now.shut or now.probe_by == mine

    def publish(self, scope: str, why: str, for_s: float | None) -> None:
        """Write a pause or a breaker down without anybody waiting for it; ``for_s=None``: it is open again."""
        key = (scope, why)
        if for_s is not None and for_s - self.left_s(scope, why) < _WORTH_S:
            return
        if key in self._writing or (for_s is None and self._known.get(key) is None):
            return

        async def write() -> None:
            try:
                if for_s is None:
                    await self.open(scope, why)
                else:
                    await self.close(scope, why, for_s=for_s)
            except StoreError as problem:
                self._trouble(problem)
            finally:
                del self._writing[key]

        self._writing[key] = asyncio.get_running_loop().create_task(write())

    async def _change(self, scope: str, why: str, change: Callable[[Closed | None, int], Closed | None]) -> Closed:
        """Compare and swap until it is done. ``change`` gives what to write, or ``None`` when there is nothing to."""
        name = f"{scope}|{why}"
        for _ in range(_CAS_TRIES):
            asked_s = self._clock.monotonic()
            answer = await self._store.limit_states(KIND, [name])
            self._time = StoreTime(asked_s, self._clock.monotonic(), answer.now_us)
            state = answer.states[0] if answer.states else None
            if state is not None:
                self._take_in(scope, why, state)
            before = None if state is None else _decode(state.body)
            after = change(before, answer.now_us)
            if after is None:
                return before or Closed(shut=False)
            new = LimitState(KIND, name, 1 if state is None else state.version + 1, _encode(after))
            if (await self._store.swap_limits([new])).states:
                self._take_in(scope, why, new)
                return after
        raise StoreError(f"{scope} is changed by others all the time.", cure="Try again.")


def _always() -> bool:
    return True


def _nobody(scope: str, why: str) -> None:
    """Nobody asks."""
    del scope, why
