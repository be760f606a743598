"""Who puts small content in a simulated world, and who reads what was acknowledged, at any node and any time."""

from __future__ import annotations

import asyncio
from random import Random

import msgspec

from rco.engine.engine import Engine
from rco.testing.clients import Clients
from rco.testing.loop import VirtualLoop
from rco.testing.plan import Plan

__all__ = ["Got", "Uploaders"]

TEXTS = 6
"""Of so many each put is one: the same is put again, at other nodes, while it is being moved."""
READS = 4


class Got(msgspec.Struct, frozen=True):
    """What a node gave for an address that had been acknowledged before it was asked. ``None``: it knew of nothing."""

    address: str
    put: bytes
    got: bytes | None
    node: str
    at_s: float


class Uploaders:
    """All of one world."""

    def __init__(self, loop: VirtualLoop, clients: Clients, plan: Plan) -> None:
        self._loop, self._clients, self._plan = loop, clients, plan
        self.put: dict[str, bytes] = {}
        """What was acknowledged, by its address."""
        self.got: list[Got] = []

    def begin(self) -> None:
        """Live as clients among the others."""
        clients = self._clients
        for number in range(self._plan.puts):
            clients.tasks.append(self._loop.spawn(clients.actor, self._upload(number)))

    async def _upload(self, number: int) -> None:
        random = Random(f"put {number} {self._plan.seed}")  # noqa: S311 - not for secrets
        await asyncio.sleep(random.random() * self._plan.troubled_s)
        data = f"content {random.randrange(TEXTS)}".encode()

        async def put(engine: Engine) -> str:
            uploads = self._clients.node_of(engine).uploads
            assert uploads is not None
            return await uploads.put(engine, data)

        address = await self._clients.insist("put", str(number), put)
        self.put[address] = data
        for _ in range(READS):
            await asyncio.sleep(random.random() * random.choice((0.01, 1.0, 10.0)))
            await self._read(address, data)

    async def _read(self, address: str, data: bytes) -> None:
        async def get(engine: Engine) -> None:
            node = self._clients.node_of(engine)
            assert node.uploads is not None
            got = await node.uploads.get(address)
            self.got.append(Got(address, data, got, node.alias, self._loop.world.now_s))

        try:
            await self._clients.ask(get)
        except Exception:  # noqa: BLE001 - a node that is away says nothing of what there is
            return
