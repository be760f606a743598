"""What goes wrong in a world, and when: crashes, pauses, partitions, clocks that jump, fail-overs, planned stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from rco.testing.loop import Actor, VirtualLoop
from rco.testing.node import Node
from rco.testing.plan import Plan
from rco.testing.upstream import Upstream
from rco.testing.wire import Network

__all__ = ["Fate"]


class Fate:
    """Starts the nodes and troubles them until ``plan.troubled_s``; from then on all is ``calm``."""

    def __init__(
        self,
        loop: VirtualLoop,
        nodes: list[Node],
        network: Network,
        upstream: Upstream,
        plan: Plan,
        random: Random,
        told: Callable[[str], None],
    ) -> None:
        self._loop, self._nodes, self._network, self._upstream = loop, nodes, network, upstream
        self._plan, self._random, self._told = plan, random, told
        self._actor = loop.actor("fate")
        self.calm = False
        self.knowing: set[str] = set()
        """Nodes that know of commits which the database lost."""
        self.on_calm: Callable[[], None] = lambda: None

    def begin(self) -> None:
        plan = self._plan
        for node in self._nodes:
            node.on_end = self._ended
            self._loop.spawn(self._actor, self._start(node, self._random.random() * 0.2))
        for count, trouble in (
            (plan.crashes, self._crash),
            (plan.pauses, self._pause),
            (plan.partitions, self._partition),
            (plan.clock_jumps, self._jump),
            (plan.fail_overs, self._fail_over),
            (plan.stops, self._stop),
        ):
            for _ in range(count):
                at_s = self._random.random() * plan.troubled_s
                self._loop.spawn(self._actor, self._later(at_s, trouble))
        self._loop.spawn(self._actor, self._end())

    async def _start(self, node: Node, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        node.begin()

    async def _later(self, at_s: float, trouble: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(at_s)
        await trouble(self._random.choice(self._nodes))

    def _between(self, pair: tuple[float, float]) -> float:
        return pair[0] + (pair[1] - pair[0]) * self._random.random()

    def _ended(self, node: Node) -> None:
        self._loop.spawn(self._actor, self._start(node, self._between(self._plan.restart_s)))

    async def _crash(self, node: Node) -> None:
        if not node.life:
            return
        actor = node.actor
        if actor.dead:
            return
        if self._random.random() < 0.2:
            self._die(node, actor)
        else:
            self._loop.fuse(actor, 1 + int(self._random.random() * 12), lambda: self._die(node, actor))

    def _die(self, node: Node, actor: Actor) -> None:
        if not actor.dead:
            node.crash()
            self._ended(node)

    async def _stop(self, node: Node) -> None:
        if node.life and not node.actor.frozen:
            node.stop()

    async def _pause(self, node: Node) -> None:
        if node.life and not node.actor.frozen:
            actor = node.actor
            frozen: asyncio.Future[None] = self._loop.create_future()
            self._loop.fuse(actor, 1 + int(self._random.random() * 12), lambda: self._freeze(actor, frozen))
            await frozen
            await asyncio.sleep(self._between(self._plan.pause_s))
            self._told(f"{actor.name} is thawed")
            self._loop.thaw(actor)

    def _freeze(self, actor: Actor, frozen: asyncio.Future[None]) -> None:
        if self.calm or actor.dead or frozen.done():
            return
        self._told(f"{actor.name} is frozen")
        self._loop.freeze(actor)
        frozen.set_result(None)

    async def _partition(self, node: Node) -> None:
        if node.life:
            name = node.alias
            self._told(f"{name} is cut off")
            self._network.cut.add(name)
            await asyncio.sleep(self._between(self._plan.partition_s))
            self._told(f"{name} is back")
            self._network.cut.discard(name)

    async def _jump(self, node: Node) -> None:
        seconds = self._plan.jump_s * (2 * self._random.random() - 1)
        self._told(f"the clock of {node.name} jumps {seconds:.6f} s")
        node.clock.jump(seconds)

    async def _fail_over(self, _: Node) -> None:
        self._network.database.fall_behind()
        await asyncio.sleep(self._random.random() * 0.5)
        database = self._network.database
        if database.fail_over():
            self._told("the database lost commits")
            for node in self._nodes:
                if node.keeper is not None and node.keeper.writer.head[0] > database.tables.head(node.alias)[0]:
                    self.knowing.add(node.alias)

    async def _end(self) -> None:
        await asyncio.sleep(self._plan.troubled_s + 1.0)
        self._told("calm")
        self.calm = self._network.calm = self._upstream.calm = True
        self._network.cut.clear()
        self.on_calm()
        for node in self._nodes:
            if node.life:
                node.actor.fuse = 0
                self._loop.thaw(node.actor)
