"""Timers: durable due times, armed in memory when they are near."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rco.engine.live import Live
from rco.engine.operation import Timer
from rco.engine.owner import Owner
from rco.kit.clock import MICROS
from rco.model.journal import Kind, Record

__all__ = ["Timers"]


class Timers:
    """Arms sleeps. Never early: the due time is wall time, checked again when the timer goes off."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.on_fired: list[Callable[[float], None]] = []
        """Told the lateness in seconds of every timer."""

    def arm(self, live: Live, op: Timer) -> None:
        owner = self._owner
        if op.due_us is None:
            now = owner.clock.now_us()
            owner.append(live, Record(Kind.TIMER_SET, op.key, now, op.fp, now + max(0, round(op.seconds * MICROS))))
        assert op.due_us is not None
        self.call_at(live, op.key, op.due_us, self._fire, live, op)

    def drop(self, live: Live, op: Timer) -> None:
        handle = live.timers.pop(op.key, None)
        if handle is not None:
            handle.cancel()

    def call_at(self, live: Live, key: str, due_us: int, then: Callable[..., None], *arguments: Any) -> None:
        """Call ``then`` when wall time reaches ``due_us``; forgotten when the run leaves memory."""
        delay_s = max(0.0, (due_us - self._owner.clock.now_us()) / MICROS)
        live.timers[key] = self._owner.loop.call_later(delay_s, self._due, live, key, due_us, then, arguments)

    def _due(self, live: Live, key: str, due_us: int, then: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        live.timers.pop(key, None)
        if live.ending:
            return
        if self._owner.clock.now_us() < due_us:
            # The loop's clock and wall time differ, or wall time was set back.
            self.call_at(live, key, due_us, then, *arguments)
            return
        then(*arguments)

    def _fire(self, live: Live, op: Timer) -> None:
        owner = self._owner
        if live.machine.pending.get(op.key) is not op or op.due_us is None:
            return
        now = owner.clock.now_us()
        for listener in self.on_fired:
            listener((now - op.due_us) / MICROS)
        owner.append(live, Record(Kind.TIMER_FIRED, op.key, now, op.fp))
        owner.drive(live)
