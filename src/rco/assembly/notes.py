"""What a node notes of itself: that it came and went, its keys, its configuration, and where its audit goes."""

from __future__ import annotations

import asyncio
from functools import partial

from rco.assembly.ground import Ground
from rco.audit.opening import open_trail
from rco.model.decision import Decision, Verb
from rco.store.contract.keeper import Keeper

__all__ = ["Notes"]


class Notes:
    """The node's own decisions, and the trail that takes everybody's. Made on the loop that it then belongs to."""

    def __init__(self, ground: Ground, keeper: Keeper, node: str) -> None:
        self._ground, self._keeper, self._node = ground, keeper, node
        self._loop = asyncio.get_running_loop()
        self.trail = open_trail(
            ground.settings.audit,
            store=keeper.writer.note,
            now_us=ground.clock.now_us(),
            metrics=ground.metrics,
            trouble=self._sink_failed,
        )

    async def end(self, timeout_s: float) -> None:
        """Write what waits, and leave in the store's chain where the others end: a cut there is seen from here."""
        await asyncio.to_thread(self.trail.stop, timeout_s)
        self.sinks("sink_closed")

    def sinks(self, reason: str) -> None:
        """Leave in the store's chain where each other sink is."""
        for seen in (sink.seen() for sink in self.trail.sinks):
            self._keeper.writer.note(
                Decision(
                    verb=Verb.NODE,
                    at_us=self._ground.clock.now_us(),
                    actor=f"node:{self._node}",
                    subject=f"audit.{seen.sink}",
                    reason=reason,
                    facts={"n": seen.n, "head": seen.head, "dropped": seen.dropped},
                )
            )

    def node(self, reason: str) -> None:
        """That the node started or stopped."""
        self.trail.note(
            Decision(
                verb=Verb.NODE,
                at_us=self._ground.clock.now_us(),
                actor=f"node:{self._node}",
                reason=reason,
                facts={"epoch": self._keeper.epoch},
            )
        )

    def config(self, subject: str, reason: str, allow: bool) -> None:
        """That a change of the configuration was taken over, or was not."""
        self.trail.note(
            Decision(
                verb=Verb.CONFIG,
                at_us=self._ground.clock.now_us(),
                actor="node",
                subject=subject,
                reason=reason,
                allow=allow,
            )
        )

    def keys(self, came: set[str], went: set[str]) -> None:
        """That keys of capabilities came and went, by their kids."""
        for kids, reason in ((came, "key_added"), (went, "key_removed")):
            for kid in sorted(kids):
                self.trail.note(
                    Decision(
                        verb=Verb.CONFIG,
                        at_us=self._ground.clock.now_us(),
                        actor="node",
                        subject="capability.keys",
                        reason=reason,
                        facts={"kid": kid},
                    )
                )

    def _sink_failed(self, sink: str, problem: OSError) -> None:
        # Told by the sink's thread; the log belongs to the loop.
        self._loop.call_soon_threadsafe(
            partial(self._ground.log.error, "audit.sink_failed", detail=sink, error=problem)
        )
