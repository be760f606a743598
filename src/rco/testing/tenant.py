"""Who confides something to an encrypted namespace of a simulated world, and has its key erased.

What is confided holds ``MARK``, so that a checker can look for it everywhere. Before and after the erasure the tenant
asks nodes for what its runs did: who is asked long enough after it must have nothing to say.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.engine.engine import Engine
from rco.errors import Forbidden, NotFound, PayloadErased
from rco.model.decision import Decision, Verb
from rco.testing.clients import Clients
from rco.testing.loop import VirtualLoop
from rco.testing.plan import Plan
from rco.testing.secrecy import NAMESPACE

__all__ = ["MARK", "Looked", "Tenant"]

MARK = "in confidence"
_RUNS = 6


class Looked(msgspec.Struct, frozen=True):
    """One reading of a run's journal at a node, begun at ``at_s`` of the world: whether there was something to read."""

    at_s: float
    node: str
    readable: bool


class Tenant:
    """Who owns the namespace."""

    def __init__(self, loop: VirtualLoop, clients: Clients, plan: Plan) -> None:
        self._loop, self._clients, self._plan = loop, clients, plan
        self._random = Random(f"tenant {plan.seed}")  # noqa: S311 - not for secrets
        self.erased_s: float | None = None
        """When the erasure was acknowledged."""
        self.looks: list[Looked] = []

    def begin(self) -> None:
        """Live as a client among the others."""
        clients = self._clients
        for number in range(_RUNS):
            clients.tasks.append(self._loop.spawn(clients.actor, self._confide(number)))
        clients.tasks.append(self._loop.spawn(clients.actor, self._erase()))

    async def _confide(self, number: int) -> None:
        random, insist = Random(f"vault {number} {self._plan.seed}"), self._clients.insist  # noqa: S311 - likewise
        await asyncio.sleep(random.random() * self._plan.troubled_s)
        workflow = random.choice(("gate", "nap", "fan"))
        given = {"order": f"{MARK} {number}", "count": 2, "seconds": round(random.random() * 20, 3), "width": 2}
        ask = StartAsk(workflow=workflow, input=given, key=f"vault:{number}", namespace=NAMESPACE)
        try:
            started = await insist("confide", str(number), lambda engine: engine.start_run(ask), (Forbidden,))
            self._loop.spawn(self._clients.actor, self._look(started.run_id, random))
            if workflow == "gate":
                await self._signal(started.run_id, number, random)
        except (Forbidden, NotFound):
            return

    async def _signal(self, run_id: bytes, number: int, random: Random) -> None:
        for count in range(3):
            await asyncio.sleep(random.random() * 5)
            decision = Decision(verb=Verb.SIGNAL, at_us=0, subject="gate")

            def send(engine: Engine, count: int = count, decision: Decision = decision) -> Any:
                return engine.signal(run_id, "go", f"{MARK} {count}", f"vault-{number}-{count}", decision, NAMESPACE)

            await self._clients.insist("confide", f"{number}-{count}", send, (NotFound,))

    async def _erase(self) -> None:
        await asyncio.sleep(self._plan.troubled_s * (0.2 + 0.8 * self._random.random()))

        def erase(engine: Engine) -> Any:
            secrecy = self._clients.node_of(engine).secrecy
            assert secrecy is not None
            return secrecy.keys.erase(NAMESPACE, actor="tenant", reason="asked for")

        await self._clients.insist("erase", NAMESPACE, erase)
        self.erased_s = self._loop.world.now_s

    async def _look(self, run_id: bytes, random: Random) -> None:
        """Ask some node for what the run did, now and then until long after the erasure."""

        async def look(engine: Engine) -> None:
            node, at_s = self._clients.node_of(engine), self._loop.world.now_s
            try:
                found = await engine._reader.journal(run_id)
            except PayloadErased:
                found = []
            self.looks.append(Looked(at_s, node.alias, bool(found)))

        while self.erased_s is None or self._loop.world.now_s < self.erased_s + 10:
            await asyncio.sleep(random.random() * 3)
            try:
                await self._clients.ask(look)
            except Exception:  # noqa: BLE001, S112 - another time
                continue
