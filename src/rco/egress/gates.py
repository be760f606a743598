"""The gates before a target's limits: an operator's switches, and what breakers and pauses of all nodes have in common.

A breaker counts on its own node. That it opened, that the target asked for a pause, and who makes the one call that may
close a breaker again, is shared.
"""

from __future__ import annotations

from collections.abc import Callable

from rco.egress.breaker import Phase, Ticket
from rco.egress.closures import BREAKER, PAUSE, SWITCH, Closed, Closures
from rco.egress.lane import Lane
from rco.egress.retry_after import RETRY_AFTER_CAP_S
from rco.egress.scopes import namespace_scope, part_scope
from rco.egress.verdict import Verdict, switched_off
from rco.errors import StoreError

__all__ = ["Gates"]


class Gates:
    """Belongs to one event loop. ``lane_of`` finds a target's lane; ``shared``: there are other nodes."""

    def __init__(self, closures: Closures, lane_of: Callable[[str], Lane | None], *, shared: bool) -> None:
        self._closures, self._lane_of, self._shared = closures, lane_of, shared
        self.on_opened: Callable[[], None] = _nothing
        """Called when something that calls may wait for was opened."""
        closures.changed = self._changed

    @property
    def any_switched(self) -> bool:
        """Whether an operator has closed anything at all. Asked by every call."""
        return bool(self._closures.switched)

    def switched_off(self, lane: Lane, namespace: str, what: str) -> Verdict | None:
        """The verdict when an operator has closed what the call needs."""
        closures = self._closures
        own = (namespace_scope(namespace), part_scope(lane.target.name, namespace))
        scope = closures.first_switched((*lane.switches, *own))
        closed = None if scope is None else closures.closed(scope, SWITCH)
        if scope is None or closed is None:
            return None
        lane.meters.limited("switch")
        fail = lane.target.when_closed == "fail"
        return switched_off(scope, closed.reason, closures.left_s(scope, SWITCH), what, fail=fail)

    async def may_probe(self, lane: Lane, ticket: Ticket, timeout_s: float) -> bool:
        """Whether the call may be the one that tries whether the target answers again: one on all nodes. Where it may
        not, the breaker waits on."""
        if not self._shared:
            return True
        try:
            mine = await self._closures.claim_probe(lane.scope, timeout_s)
        except StoreError:
            mine = False
        if not mine:
            lane.breaker.wait_on(ticket, min(1.0, lane.target.breaker.open_s))
        return mine

    def told(self, lane: Lane, before: Phase, pause_s: float | None) -> None:
        """The lane's breaker was in phase ``before``, and has heard of an answer that asked for ``pause_s``."""
        phase = lane.breaker.phase
        if pause_s is not None and pause_s > 0:
            self._closures.publish(lane.scope, PAUSE, min(pause_s, RETRY_AFTER_CAP_S))
        if self._shared and phase is not before:
            self._closures.publish(lane.scope, BREAKER, lane.breaker.rules.open_s if phase is Phase.OPEN else None)

    def closed(self, lane: Lane) -> list[tuple[str, str, Closed]]:
        """(scope, why, closure) of all that closes the target or part of it now."""
        parts = (part_scope(lane.target.name, ""), namespace_scope(""))
        return [one for one in self._closures.all() if one[0] in lane.switches or one[0].startswith(parts)]

    async def close(self, scope: str, *, for_s: float | None, actor: str, reason: str) -> Closed:
        """Close ``scope`` by hand, for all nodes: durable and true here when this returns. Raises ``StoreError``."""
        return await self._closures.close(scope, SWITCH, for_s=for_s, actor=actor, reason=reason)

    async def open(self, scope: str, *, actor: str, reason: str) -> Closed | None:
        """Open ``scope`` again, whether it was closed by hand or by the target itself. Gives what was closed."""
        closures = self._closures
        before = None
        for why in (PAUSE, SWITCH):
            before = closures.closed(scope, why) or before
            await closures.open(scope, why, actor=actor, reason=reason)
        return before

    def _changed(self, scope: str, why: str) -> None:
        """A word from the store: here or on another node something was closed or opened."""
        closures = self._closures
        left_s = closures.left_s(scope, why)
        kind, _, name = scope.partition(":")
        lane = self._lane_of(name) if kind == "target" and why != SWITCH else None
        if lane is not None and why == PAUSE:
            if left_s:
                lane.breaker.close_for(left_s)
            else:
                lane.breaker.end_pause()
        elif lane is not None and left_s:
            closed = closures.closed(scope, why)
            # That somebody tries it changes nothing yet.
            if closed is None or not closed.probe_by:
                lane.breaker.open_for(left_s)
        elif lane is not None:
            lane.breaker.close_again()
        if not left_s:
            self.on_opened()


def _nothing() -> None:
    """Nobody waits."""
