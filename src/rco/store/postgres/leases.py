"""The leases: one heartbeat row for this node, and at each heartbeat a look at who lives and who owns what.

Shards of a dead node and those that nobody owns are taken over by the node that they belong to (``ownership.winner``).
A shard that belongs to another living node is handed over to it: let go, flush, release. So a node that comes gets its
share within two heartbeats, and one that goes leaves nothing behind. The shards of a version's pool belong to the nodes
that have the version.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from rco.errors import Fenced, StoreError, StoreLocked
from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.model.version import pin
from rco.store.pools import Pools, byte_of
from rco.store.postgres.connection import Line, answering_within, is_passing, patiently
from rco.store.postgres.flusher import Identity
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership, winners

__all__ = ["Leases", "View"]

_JOIN = "SELECT epoch, pid, alive_s FROM rco_join($1, $2, $3, $4, $5, $6, $7)"
_BEAT = (
    "SELECT own, names, alive_s, drains, owners, epochs, heads, pools, have_node, have_name"
    " FROM rco_heartbeat($1, $2, $3, $4, $5, $6)"
)
_TAKE = "SELECT shard, epoch FROM rco_take($1, $2, $3)"
_RELEASE = "SELECT rco_release($1, $2, $3, $4)"
_SOON_S = 0.02
_SILENT_S = 2.0
_MOMENT_S, _GRACE_S = 0.05, 0.5


class View(msgspec.Struct, frozen=True):
    """What stood in the database at the last heartbeat."""

    alive_s: dict[str, float]
    """For each node, how long its heartbeat counts still; below 0 it is dead."""
    draining: frozenset[str]
    owners: list[str | None]
    """By shard, those of pools behind the first 256."""
    epochs: list[int]
    pools: Pools
    have: dict[str, frozenset[str]]
    """What each living node can run, as pins; the empty one: everything."""


class Leases:
    """Keeps this node's lease and its share of the shards.

    ``drained`` waits until what was appended so far is committed; ``on_end`` is told when the node's name was taken by
    another process; ``on_released`` that shards are free for others.
    """

    def __init__(
        self,
        dsn: str,
        *,
        identity: Identity,
        ownership: NodeOwnership,
        clock: Clock,
        options: PostgresOptions,
        drained: Callable[[], Awaitable[None]],
        on_end: Callable[[BaseException], None],
    ) -> None:
        self._identity, self._ownership = identity, ownership
        self._clock, self._options = clock, options
        self._drained, self._on_end = drained, on_end
        # Two attempts fit into a lease, unless it is very short: a connection that has fallen silent costs one of them,
        # not the lease.
        self._line = Line(dsn, answering_within(options, max(_SILENT_S, (options.ttl_s - options.margin_s) / 2)))
        self._poke = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._giving: asyncio.Task[None] | None = None
        self._last_beat_s: float | None = None
        self._steady_since_s = float("-inf")
        self._ending = False
        self._pins: frozenset[str] = frozenset()
        """What this node can run, once that is announced; the empty one: everything."""
        self.view: View | None = None
        self.on_released: Callable[[], None] = _nothing
        self.heads: Callable[[], dict[str, int]] = dict
        """This node's chains, each with the last link that is known here."""
        self.on_behind: Callable[[str], None] = _nothing_of
        """Called when the database has one of them not as far."""
        self.forgotten: Callable[[list[tuple[str, int, int]]], Awaitable[StoreError]] = _ended
        """The same, of chains with what was known and found, when it has forgotten the node with them: what to end
        with."""

    # -- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the connection. Raises what ``is_passing`` judges."""
        await self._line.open()

    async def join(self, is_gone: Callable[[], Awaitable[bool]]) -> None:
        """Take the node's name, and the shards that are free for it.

        ``is_gone`` says whether the process that has the name is known to be dead. Raises ``StoreLocked`` when it
        lives, ``StoreError`` when the database cannot be used.
        """
        left_s: float | None = None
        force, waited_s = False, 0.0
        while True:
            epoch, pid, alive_s = await self._ask_join(force)
            if epoch is not None:
                break
            if left_s is not None and alive_s > left_s:
                raise _locked(self._identity.node, pid)
            if await is_gone():
                force = True
                continue
            if not self._options.pooler:
                # The server notices within a moment that a killed process hung up.
                waited_s += _MOMENT_S
                if waited_s > _GRACE_S:
                    raise _locked(self._identity.node, pid)
                await asyncio.sleep(_MOMENT_S)
                continue
            # No session, no lock that would tell: the heartbeat of a dead process runs out, a living one renews it.
            left_s = alive_s
            await asyncio.sleep(min(alive_s + _SOON_S, self._options.heartbeat_s * 1.5))
            left_s -= _SOON_S
        self._identity.epoch = epoch
        await self.look()

    async def _ask_join(self, force: bool) -> tuple[int | None, int, float]:
        identity, options = self._identity, self._options
        rows = await patiently(
            lambda: self._line.fetch(
                _JOIN, identity.node, identity.boot_id, os.getpid(), "", self._clock.now_us(), options.ttl_s, force
            ),
            self._clock,
            options,
            options.connect_timeout_s,
        )
        return rows[0]["epoch"], rows[0]["pid"], rows[0]["alive_s"]

    async def announced(self, names: Iterable[str]) -> None:
        """This node can run these versions, which have pools by now; none: it takes every run. Takes its share of what
        is free; what others own comes by hand-over."""
        self._pins = frozenset(map(pin, names)) or frozenset(("",))
        await self.look()

    def begin(self) -> None:
        """Beat from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="rco-heartbeat")

    def poke(self) -> None:
        """Another node has given shards back or come: look at once."""
        self._poke.set()

    async def stop(self) -> None:
        """Give everything back, after the writer has flushed. Idempotent."""
        self._ending = True
        await stop_task(self._task)
        await stop_task(self._giving)
        self._task = self._giving = None
        if self._identity.epoch:
            self._identity.epoch, identity = 0, self._identity
            shards = sorted(self._ownership.epochs)
            # If it cannot be given back, the lease runs out by itself.
            with contextlib.suppress(StoreError):
                await patiently(
                    lambda: self._line.fetch(_RELEASE, identity.node, identity.boot_id, shards, True),
                    self._clock,
                    self._options,
                    self._options.give_up_at_stop_s,
                )
            self._ownership.lose(frozenset(shards))
            self.on_released()
        await self._line.close()

    # -- beating ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(
                    self._options.backoff.delay_s(attempt, _no_jitter) if attempt else self._pause_s()
                ):
                    await self._poke.wait()
            except TimeoutError:
                pass
            self._poke.clear()
            try:
                await self.look(patient=False)
                attempt = 0
            except Fenced as error:
                self._on_end(error)
                return
            except Exception as error:  # noqa: BLE001 - judged here
                if not is_passing(error):
                    self._on_end(error)
                    return
                attempt += 1

    def _pause_s(self) -> float:
        """Until the next heartbeat is due, or until a node that missed its own is dead."""
        pause_s = self._options.heartbeat_s
        if self.view is not None:
            for node, alive_s in self.view.alive_s.items():
                if node != self._identity.node and 0 < alive_s < pause_s:
                    pause_s = alive_s + _SOON_S
        return pause_s

    async def look(self, patient: bool = True) -> None:
        """One heartbeat, and what follows from what it shows. Raises ``Fenced`` when the name is taken by another
        process, ``StoreError`` for trouble that stays; other trouble is waited for if ``patient``, else raised."""
        if patient:
            await patiently(self._look, self._clock, self._options, float("inf"))
        else:
            await self._look()

    async def _look(self) -> None:
        async with self._turn:
            await self._beat()
            if not self._ending:
                await self._settle()

    async def _beat(self) -> None:
        identity, options, ownership = self._identity, self._options, self._ownership
        sent_s = self._clock.monotonic()
        known = self.heads()
        now_us = self._clock.now_us()
        rows = await self._line.fetch(_BEAT, identity.node, identity.boot_id, options.ttl_s, False, now_us, list(known))
        own, names, alive_s, drains, owners, epochs, heads, pools, have_node, have_name = rows[0]
        behind = [(chain, n, found) for (chain, n), found in zip(known.items(), heads or (), strict=True) if found < n]
        if not own:
            if behind:
                # The database does not even know this life of the node any more, so its flushes cannot find it out.
                raise await self.forgotten(behind)
            ownership.lose(frozenset(ownership.epochs))
            raise Fenced(
                f"Another process has taken the name {identity.node}.",
                cure="Stop one of the two, or give each a name of its own.",
            )
        self.view = View(
            dict(zip(names or (), alive_s or (), strict=True)),
            frozenset(name for name, drain in zip(names or (), drains or (), strict=True) if drain),
            owners,
            epochs,
            Pools(pools or ()),
            _by_node(have_node or (), have_name or ()),
        )
        lost = [
            shard
            for shard, epoch in ownership.epochs.items()
            if owners[shard] != identity.node or epochs[shard] != epoch
        ]
        if lost:
            ownership.lose(frozenset(lost))
        # Behind that: a pool that has another version by now has no owner.
        ownership.pools = self.view.pools
        if self._last_beat_s is not None and sent_s - self._last_beat_s > options.ttl_s:
            # We were away; so, perhaps, was the database for everybody. Let the others show that they live.
            self._steady_since_s = sent_s
        self._last_beat_s = sent_s
        for chain, _, _ in behind:
            self.on_behind(chain)
        ownership.renew(sent_s + options.ttl_s - options.margin_s)

    async def _settle(self) -> None:
        assert self.view is not None
        view, node, ownership = self.view, self._identity.node, self._ownership
        alive = {name for name, left_s in view.alive_s.items() if left_s > 0} | {node}
        steady = self._clock.monotonic() - self._steady_since_s >= 2 * self._options.heartbeat_s
        take: list[int] = []
        give: list[int] = []
        ours: dict[int, int] = {}
        belongs: tuple[str | None, ...] = ()
        for shard, owner in enumerate(view.owners):
            if not (byte := byte_of(shard)):
                belongs = winners(shard, self._takers(alive, view.pools.pin(shard)))
            if owner == node and shard not in ownership.epochs:
                # From before this start, under the epoch that the start raised; or taken, and the answer was lost.
                ours[shard] = view.epochs[shard]
            mine = belongs[byte] == node
            if mine and (owner is None or (owner not in alive and steady)):
                take.append(shard)
            elif not mine and ownership.owns(shard):
                give.append(shard)
        if ours:
            ownership.gain(ours)
        if take:
            rows = await self._line.fetch(_TAKE, node, self._identity.boot_id, take)
            if rows:
                ownership.gain({row["shard"]: row["epoch"] for row in rows})
        if give and self._giving is None:
            self._giving = asyncio.get_running_loop().create_task(self._give(frozenset(give)), name="rco-hand-over")
            self._giving.add_done_callback(self._given)

    def _takers(self, alive: set[str], pinned_to: str) -> tuple[str, ...]:
        """The nodes among which the shards of a pool are shared out: those that have its version; where none has, all,
        who keep its runs as they are for whom comes. Who drains keeps its shards as long as nobody else could have
        them."""
        assert self.view is not None
        view, node = self.view, self._identity.node
        have = {**view.have, node: self._pins}
        takers = alive - view.draining
        if pinned_to:
            fit = {one for one in alive if not have.get(one, frozenset()).isdisjoint((pinned_to, ""))}
            takers = fit - view.draining or fit or takers
        return tuple(sorted(takers)) or (node,)

    async def _give(self, shards: frozenset[int]) -> None:
        """Planned hand-over: let go, flush what was appended, release."""
        self._ownership.leave(shards)
        await self._drained()
        async with self._turn:
            ours = frozenset(shard for shard in shards if shard in self._ownership.epochs)
            await patiently(
                lambda: self._line.fetch(_RELEASE, self._identity.node, self._identity.boot_id, sorted(ours), False),
                self._clock,
                self._options,
                float("inf"),
            )
            self._ownership.lose(ours)
        self.on_released()

    def _given(self, task: asyncio.Task[None]) -> None:
        self._giving = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_end(error)


def _locked(node: str, pid: int) -> StoreLocked:
    return StoreLocked(
        f"The name {node} is in use by process {pid}.", cure="Stop that process, or give this one a name of its own."
    )


def _by_node(nodes: Iterable[str], names: Iterable[str]) -> dict[str, frozenset[str]]:
    have: dict[str, set[str]] = {}
    for node, name in zip(nodes, names, strict=True):
        have.setdefault(node, set()).add(pin(name) if name else "")
    return {node: frozenset(pins) for node, pins in have.items()}


def _no_jitter() -> float:
    return 0.0


def _nothing() -> None:
    """Nobody is told."""


def _nothing_of(_: str) -> None:
    """Nobody is told."""


async def _ended(behind: list[tuple[str, int, int]]) -> StoreError:
    return StoreError(f"History was rewound: {behind}.")
