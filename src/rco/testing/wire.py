"""The wire between a node and the database: latency, lock waits, lost requests, lost answers, partitions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from rco.testing.database import ModelDatabase
from rco.testing.link import ConnectionLost
from rco.testing.loop import Actor, VirtualLoop
from rco.testing.plan import Plan
from rco.testing.tables import Batch, Committed

__all__ = ["Network", "Wire"]


class Network:
    """All wires to one database. ``calm`` ends its troubles."""

    def __init__(self, loop: VirtualLoop, database: ModelDatabase, plan: Plan, random: Random) -> None:
        self.loop, self.database, self.plan, self.random = loop, database, plan, random
        self.far = loop.actor("database")
        self.calm = False
        self.cut: set[str] = set()
        """Names of nodes that do not reach the database."""
        self._wires: dict[str, Wire] = {}
        database.on_commit.append(self._notify)

    def wire(self, node: str, actor: Actor) -> Wire:
        """A connection for one incarnation of a node."""
        return Wire(self, node, actor)

    def attach(self, wire: Wire) -> None:
        self._wires[wire.node] = wire

    def detach(self, node: str) -> None:
        self._wires.pop(node, None)

    def latency_s(self, commit: bool) -> float:
        low, high = self.plan.commit_s if commit else self.plan.read_s
        delay_s = low + (high - low) * self.random.random()
        if commit and not self.calm and self.random.random() < self.plan.lock_wait:
            delay_s += self.random.random() * self.plan.lock_wait_s
        return delay_s

    def happens(self, chance: float) -> bool:
        return not self.calm and chance > 0 and self.random.random() < chance

    def _notify(self, batch: Batch, committed: Committed) -> None:
        """Tell the owners of runs that somebody else wrote to. A notice may get lost."""
        told: dict[str, list[bytes]] = {}
        for run_id in committed.flushed.woken:
            owner = self.database.tables.leases[self.database.tables.home(run_id)][0]
            if owner != batch.writer and owner in self._wires:
                told.setdefault(owner, []).append(run_id)
        for owner, runs in told.items():
            wire = self._wires[owner]
            if owner not in self.cut and not self.happens(self.plan.lost_answer):
                self.loop.post_later(wire.actor, self.latency_s(False), wire.mailed, runs)


class Wire:
    """Implements ``rco.testing.link.Link`` for one node."""

    def __init__(self, network: Network, node: str, actor: Actor) -> None:
        self._network = network
        self.node, self.actor = node, actor
        self._mail: Callable[[list[bytes]], None] = lambda _: None

    def listen(self, node: str, mail: Callable[[list[bytes]], None]) -> None:
        del node
        self._mail = mail
        self._network.attach(self)

    def mailed(self, runs: list[bytes]) -> None:
        self._mail(runs)

    def ask(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        network = self._network
        # What commits has more to fear than what reads.
        commit = getattr(request, "func", None) is not None
        if self.node in network.cut or network.happens(network.plan.lost_request):
            self._lose(answer)
            return
        network.loop.post_later(network.far, network.latency_s(commit), self._do, request, answer)

    def _lose(self, answer: Callable[[Any, BaseException | None], None]) -> None:
        problem = ConnectionLost("The connection to the database broke.")
        self._network.loop.post_later(self.actor, self._network.plan.patience_s, answer, None, problem)

    def _do(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        network = self._network
        result, error = None, None
        try:
            result = request()
        except Exception as problem:  # noqa: BLE001 - it is the answer
            error = problem
        if self.node in network.cut or network.happens(network.plan.lost_answer):
            self._lose(answer)
            return
        network.loop.post_later(self.actor, network.latency_s(False), answer, result, error)
