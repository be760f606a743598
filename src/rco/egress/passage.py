"""The passage of one call through its limits: all of them in order, everything or nothing."""

from __future__ import annotations

import math

from rco.egress.limits import Crowded, Limits
from rco.kit.clock import Clock

__all__ = ["Passage"]


class Passage:
    """After ``slip_in`` gave ``True`` or ``enter`` gave ``None``, one ``leave``."""

    __slots__ = ("_cost", "_through", "_untils", "limits")

    def __init__(self, limits: tuple[Limits, ...], cost: int) -> None:
        self.limits, self._cost = limits, cost
        self._through = 0
        """How many of them are behind us."""
        self._untils: list[float] = []

    def slip_in(self) -> bool:
        """Whether the call may go at once. Where it may not, ``enter`` goes on from there."""
        for limits in self.limits[self._through :]:
            if not limits.slip_in(self._cost):
                return False
            self._passed(limits)
        return True

    @property
    def next(self) -> Limits:
        """The one that lets no call through at once."""
        return self.limits[self._through]

    async def enter(self, until: float, whose: str) -> Crowded | None:
        """Wait for those that are still to come, as ``Limits.enter`` does. Otherwise nothing is held."""
        try:
            while self._through < len(self.limits):
                limits = self.next
                # Asked twice: the first one may have been the last obstacle.
                why = await limits.enter(until, whose, self._cost)
                if why is not None:
                    self.leave(unused=True)
                    return why
                self._passed(limits)
                if self.slip_in():
                    break
        except BaseException:
            self.leave(unused=True)
            raise
        return None

    def _passed(self, limits: Limits) -> None:
        self._through += 1
        self._untils.append(limits.until_s)

    def good(self, clock: Clock) -> bool:
        """Whether what was taken may be used now: a leased permit that ran out is somebody else's."""
        now = clock.monotonic()
        return all(now < until_s for until_s in self._untils) and all(now < one.good_until_s for one in self.limits)

    @property
    def lasting(self) -> bool:
        """Whether nothing of it can run out."""
        for until_s in self._untils:
            if until_s is not math.inf:
                return False
        for one in self.limits:  # noqa: SIM110 - asked by every call, and a generator takes longer
            if one.leased:
                return False
        return True

    def held_back(self) -> Crowded:
        """What it waits for."""
        return self.next.held_back()

    def leave(self, *, unused: bool = False) -> None:
        """Give everything back that is held. ``unused``: the call never left."""
        through, self._through = self._through, 0
        untils, self._untils = self._untils, []
        for limits, until_s in zip(self.limits[:through], untils, strict=True):
            if unused:
                limits.unused(self._cost, until_s)
            limits.leave()
