"""Several nodes of ``rco serve`` on one PostgreSQL. Stands where the tests of one service have their world."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import defaultdict
from pathlib import Path

from tests.crash import leftovers, tenures
from tests.crash.door import Door
from tests.crash.world import DOORS, PATIENCE_S, Downstream, ServeWorld
from tests.servers.postgres import PostgresServer

__all__ = ["QUICK", "Cluster"]

QUICK = {"heartbeat": "500ms", "lease_ttl": "2s", "lease_margin": "500ms", "poll": "500ms"}
"""Leases with which a killed node is replaced within 3 s. What is not given is as it is for everybody."""


class Cluster:
    """``leases``: a section ``store``. ``dsns``: for each node its own way to the database, else the straight one.

    A client that asks for a door gets that of any node, chosen by the seed, also of one that is stopped: nobody in
    front of the nodes knows.
    """

    def __init__(
        self,
        folder: Path,
        downstream: Downstream,
        server: PostgresServer,
        seed: int,
        *,
        leases: dict[str, str] | None = None,
        dsns: list[str] | None = None,
    ) -> None:
        self.folder, self.downstream, self.server = folder, downstream, server
        self.name = server.database()
        tenures.note(server, self.name)
        self._chance = random.Random(seed)
        self._names: dict[int, set[str]] = defaultdict(set)
        self._resumed: list[tuple[str, int]] = []
        self.nodes: list[ServeWorld] = []
        for at in range(DOORS):
            home = folder / f"node{at}"
            home.mkdir()
            path = dsns[at].format(database=self.name) if dsns else server.dsn(self.name)
            store = {"path": path, "node": self.name_of(at), **(QUICK if leases is None else leases)}
            self.nodes.append(ServeWorld(home, downstream, door=at, store=store))

    # -- what a customer and a verdict want ------------------------------------------------------------------------

    async def door(self) -> Door:
        """The door of any node that was started; waits while there is none."""
        async with asyncio.timeout(PATIENCE_S):
            while (door := self.current) is None:
                await asyncio.sleep(0.02)
        return door

    @property
    def current(self) -> Door | None:
        doors = [node.current for node in self.nodes if node.current is not None]
        return self._chance.choice(doors) if doors else None

    @property
    def dead(self) -> bool:
        return all(node.dead for node in self.nodes)

    @property
    def kills(self) -> int:
        return sum(node.kills for node in self.nodes)

    def tail(self) -> str:
        return "\n".join(f"-- node {at}:\n{node.tail()}" for at, node in enumerate(self.nodes))

    def leftovers(self) -> dict[str, int]:
        return leftovers.of_postgres(self.server, self.name)

    def tenures(self) -> tenures.Tenures | None:
        found = tenures.read(self.server, self.name, self._names)
        found.resumed = self._resumed
        found.write(self.folder / "tenures.json")
        return found

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self, *chosen: int, wait: bool = True) -> None:
        """Start these nodes, or all. The first administrator's token is every node's."""
        token = self.nodes[0].folder / "data" / "admin.token"
        numbers = list(chosen) or list(range(len(self.nodes)))
        if not token.exists():
            await self._start(numbers.pop(0), wait=True)
        for number in numbers:
            beside = self.nodes[number].folder / "data" / "admin.token"
            if not beside.exists():
                beside.parent.mkdir(exist_ok=True)
                shutil.copy(token, beside)
        await asyncio.gather(*(self._start(number, wait=wait) for number in numbers))

    async def _start(self, number: int, *, wait: bool) -> None:
        node = self.nodes[number]
        starting = asyncio.ensure_future(node.start(wait=wait))
        await asyncio.sleep(0)
        self._names[node.downstream_port].add(self.name_of(number))
        await starting

    def name_of(self, number: int) -> str:
        """Under which the node stands in the database, in every life."""
        return f"n{number}"

    async def kill(self, *chosen: int) -> None:
        for number in chosen:
            await self.nodes[number].kill()

    def go_on(self, number: int) -> None:
        """Let a node that was paused go on."""
        self._resumed.append((self.name_of(number), time.time_ns() // 1000))
        self.nodes[number].go_on()

    async def stop(self) -> None:
        """End all as SIGTERM does."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def end(self) -> None:
        """However it stands: nothing of it is left."""
        for node in self.nodes:
            if not node.dead:
                await node.kill()
        await asyncio.to_thread(self.server.drop, self.name)

    # -- who owns what ---------------------------------------------------------------------------------------------

    async def owners(self) -> dict[str, int]:
        """How many shards each name owns; under the empty one those of nobody."""
        rows = await asyncio.to_thread(
            self.server.query, self.name, "SELECT coalesce(owner, ''), count(*) FROM lease GROUP BY 1"
        )
        return {row[0]: row[1] for row in rows}

    async def until_owned_by(self, *numbers: int) -> None:
        """Wait until every shard is owned by one of these nodes, and each of them owns some."""
        names = {self.name_of(number) for number in numbers}
        owners: dict[str, int] = {}
        async with asyncio.timeout(PATIENCE_S):
            while owners.keys() != names:
                await asyncio.sleep(0.05)
                owners = await self.owners()
