"""Eight owners steal one shard from each other while they append: no stale append, however they meet."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from rco.errors import StoreError
from rco.store.postgres.connection import state_of
from rco.store.postgres.flush import FLUSH

OWNERS, TAKE_OVERS, SHARD = 8, 2000, 5


def flush_arguments(node: str, boot: bytes, chain: str, n: int, prev: bytes, hash: bytes, epoch: int, seq: int) -> Any:
    """A flush of one journal row, as the keeper sends it."""
    run_id = b"\x01" * 15 + bytes((SHARD,))
    head = (node, boot, chain, n, chain, 1, 1, prev, hash, b"", b"", b"[]", [SHARD], [epoch])
    body: tuple[Any, ...] = ([run_id], [seq], [node.encode() + b"/%d" % epoch])
    return (*head, *body, *([] for _ in range(80 - len(head) - len(body))))


class Owner:
    """Takes the shard over by force, then appends what follows what it saw at the take-over."""

    def __init__(self, number: int, connection: Any, world: dict[str, Any]) -> None:
        self.name, self.boot = f"n{number}", bytes((number,))
        self._connection, self._world = connection, world
        self.epoch, self._seq = 0, 0
        self._n, self._prev = 0, bytes(32)
        self.stale = self.fenced = self.appended = 0

    async def join(self) -> None:
        await self._connection.execute(
            "INSERT INTO node VALUES ($1, $2, 1, 1, '', 1, '-infinity')", self.name, self.boot
        )

    async def steal(self) -> None:
        # Every other node counts as dead for the taker, as after a long stop: the rows say so, their processes do not.
        async with self._connection.transaction():
            await self._connection.execute(
                "UPDATE node SET alive_until = clock_timestamp() + interval '1 hour' WHERE name = $1", self.name
            )
            rows = await self._connection.fetch(
                "SELECT shard, epoch FROM rco_take($1, $2, $3)", self.name, self.boot, [SHARD]
            )
            await self._connection.execute("UPDATE node SET alive_until = '-infinity' WHERE name = $1", self.name)
        if rows:
            self._world["take-overs"] += 1
            self.epoch = rows[0]["epoch"]
            last = await self._connection.fetchval("SELECT max(first_seq) FROM journal")
            self._seq = 0 if last is None else last + 1

    async def append(self) -> None:
        if not self.epoch:
            return
        hash = bytes(8) + self.boot * 16 + (self._n + 1).to_bytes(8, "big")
        try:
            await self._connection.fetch(
                FLUSH,
                *flush_arguments(self.name, self.boot, self.name, self._n + 1, self._prev, hash, self.epoch, self._seq),
            )
        except asyncpg.UniqueViolationError:
            # Somebody appended after this owner had looked: a stale append got through.
            self.stale += 1
            self.epoch = 0
        except asyncpg.PostgresError as error:
            if state_of(error) != "RC001":
                raise StoreError(str(error)) from error
            self.fenced += 1
            self.epoch = 0
        else:
            self._n, self._prev = self._n + 1, hash
            self._seq += 1
            self.appended += 1


async def test_no_stale_append_in_thousands_of_take_overs(postgres_dsn: str) -> None:
    world: dict[str, Any] = {"take-overs": 0}
    connections = [await asyncpg.connect(postgres_dsn) for _ in range(OWNERS)]
    owners = [Owner(number, connection, world) for number, connection in enumerate(connections)]
    for owner in owners:
        await owner.join()

    async def act(owner: Owner, number: int) -> None:
        turn = number
        while world["take-overs"] < TAKE_OVERS:
            turn = (turn * 1103515245 + 12345) % (1 << 31)
            if not owner.epoch or turn % 5 == 0:
                await owner.steal()
            else:
                await owner.append()

    await asyncio.gather(*(act(owner, number + 1) for number, owner in enumerate(owners)))
    rows = await connections[0].fetch("SELECT first_seq, data FROM journal ORDER BY first_seq")
    for connection in connections:
        await connection.close()
    assert sum(owner.stale for owner in owners) == 0
    # It was a fight, or nothing is proven: appends of former owners came, and were turned away.
    assert sum(owner.fenced for owner in owners) > 100
    assert sum(owner.appended for owner in owners) > 300
    assert [row["first_seq"] for row in rows] == list(range(len(rows)))
    epochs = [int(bytes(row["data"]).split(b"/")[1]) for row in rows]
    assert epochs == sorted(epochs)
