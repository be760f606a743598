"""A model database: committed state, and everything a node may ask of it. One call is one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import msgspec

from rco.errors import StoreLocked
from rco.kit.digest import digest
from rco.model.run import SHARDS, Mode
from rco.store.contract.ownership import Shards
from rco.store.contract.writer import Sealer
from rco.store.pools import Pools
from rco.testing.tables import Batch, Committed, Tables
from rco.testing.transaction import Transaction

__all__ = ["Beat", "ModelDatabase", "wanted_by"]


class Beat(msgspec.Struct, frozen=True):
    """What a heartbeat is answered: the shards owned now with their epochs, those among them that were just taken, and
    those that another living node should have instead."""

    owned: dict[int, int]
    taken: Shards
    leave: Shards
    head: tuple[int, bytes]
    """The last link of the node's chain."""


@functools.lru_cache(maxsize=1024)
def wanted_by(names: tuple[str, ...], base: int = 0) -> dict[str, Shards]:
    """Which shards of a pool, of which ``base`` is the first, each of the nodes ``names`` should own: the one with the
    highest digest has it."""
    found: dict[str, list[int]] = {name: [] for name in names}
    for shard in range(base, base + SHARDS):
        found[max(names, key=lambda name: digest(f"{shard}/{name}".encode()))].append(shard)
    return {name: frozenset(shards) for name, shards in found.items()}


class ModelDatabase:
    """One database for one or several keepers. ``now_s`` is its own clock, in seconds.

    ``on_commit`` listeners are told (batch, committed) in the moment of the commit: for checkers and notifiers.
    """

    def __init__(self, sealer: Sealer, now_s: Callable[[], float]) -> None:
        self.tables = Tables()
        self.on_commit: list[Callable[[Batch, Committed], None]] = []
        self.on_lease: list[Callable[[str, str, int], None]] = []
        """Told (node, what it did, how many shards)."""
        self.rewinds = 0
        self._sealer, self.now_s = sealer, now_s
        self._standby: Tables | None = None
        self._holder = 0

    # -- the sole owner of an embedded database --------------------------------------------------------------------

    def lock(self, pid: int) -> None:
        """Raises ``StoreLocked`` naming the process that holds it."""
        if self._holder:
            raise StoreLocked(f"The database is in use by process {self._holder}.", cure="Stop that process.")
        self._holder = pid

    def unlock(self) -> None:
        """Given back, or its holder is dead."""
        self._holder = 0

    def own_all(self, node: str) -> int:
        """Raise the epoch of every shard and put ``node`` in as the owner. Returns the epoch."""
        tables = self.tables
        epoch = max(epoch for _, epoch in tables.leases) + 1
        tables.leases = [(node, epoch)] * len(tables.leases)
        return epoch

    # -- one node of several ---------------------------------------------------------------------------------------

    def boot(self, node: str, ttl_s: float) -> int:
        """Make ``node`` known. Returns a number that no node was given before."""
        self.tables.boots += 1
        self.tables.nodes[node] = self.now_s() + ttl_s
        return self.tables.boots

    def make_pools(self, pins: Iterable[str]) -> None:
        """There are pools for these pins, once for all."""
        self.tables.of_pools = Pools(pins)
        self.tables.leases += [("", 0)] * (SHARDS * len(self.tables.of_pools.pins))

    def _wanted(self, node: str, alive: set[str]) -> Shards:
        """What ``node`` should own: of each pool its share among the nodes that have the version; where none has, among
        all."""
        tables = self.tables
        wanted = wanted_by(tuple(sorted(alive)))[node]
        for number, pin in enumerate(tables.of_pools.pins, 1):
            fit = {one for one in alive if pin in tables.have.get(one, frozenset())} or alive
            if node in fit:
                wanted |= wanted_by(tuple(sorted(fit)), number * SHARDS)[node]
        return wanted

    def beat(self, node: str, chain: str, ttl_s: float, pins: frozenset[str] = frozenset()) -> Beat:
        """``node``, which has ``pins``, lives: it keeps what it owns and takes what it should have and no living node
        owns."""
        tables, now_s = self.tables, self.now_s()
        tables.nodes[node] = now_s + ttl_s
        tables.have[node] = pins
        alive = {name for name, until_s in tables.nodes.items() if until_s > now_s}
        wanted = self._wanted(node, alive)
        taken: set[int] = set()
        for shard in sorted(wanted):
            owner, epoch = tables.leases[shard]
            if owner != node and owner not in alive:
                tables.leases[shard] = (node, epoch + 1)
                taken.add(shard)
        self._tell(node, "takes", len(taken))
        owned = {shard: epoch for shard, (owner, epoch) in enumerate(tables.leases) if owner == node}
        return Beat(owned, frozenset(taken), frozenset(owned) - wanted, tables.head(chain))

    def release(self, node: str, shards: Shards) -> None:
        """``node`` gives ``shards`` up; whoever should have them takes them at its next heartbeat."""
        self._tell(node, "releases", len(shards))
        for shard in shards:
            owner, epoch = self.tables.leases[shard]
            if owner == node:
                self.tables.leases[shard] = ("", epoch)

    def leave(self, node: str) -> None:
        """``node`` stops: all it owns is free and it is no longer alive."""
        self.tables.nodes.pop(node, None)
        self.release(node, frozenset(range(len(self.tables.leases))))

    def _tell(self, node: str, what: str, count: int) -> None:
        if count:
            for listener in self.on_lease:
                listener(node, what, count)

    def mail(self, node: str) -> list[bytes]:
        """Open runs of the node's shards with unread messages."""
        leases, runs = self.tables.leases, self.tables.runs
        return [
            run_id
            for run_id, inbox in self.tables.messages.items()
            if inbox and run_id in runs and leases[self.tables.home(run_id)][0] == node
        ]

    def unread(self) -> list[bytes]:
        """Parked, paused and queued runs with unread messages."""
        runs = self.tables.runs
        return [
            run_id
            for run_id, inbox in self.tables.messages.items()
            if inbox and run_id in runs and runs[run_id].mode in (Mode.PARKED, Mode.PAUSED, Mode.QUEUED)
        ]

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Committed:
        """Write ``batch`` or nothing of it. Raises ``Fenced``, ``Rewound`` or ``StoreError``."""
        committed = Transaction(self.tables, batch, self._sealer, self.now_s()).write()
        for listener in self.on_commit:
            listener(batch, committed)
        return committed

    def outcome(self, token: tuple[str, int]) -> Committed | None:
        """What became of the batch with ``token``: how a writer whose connection was lost finds out."""
        return self.tables.results.get(token)

    # -- trouble ---------------------------------------------------------------------------------------------------

    def fall_behind(self) -> None:
        """From now on the standby gets nothing more."""
        if self._standby is None:
            self._standby = self.tables.copy()

    def fail_over(self) -> bool:
        """Go on with the standby's state: what was committed since ``fall_behind`` is lost. False: nothing was."""
        standby, self._standby = self._standby, None
        if standby is None or len(standby.results) == len(self.tables.results):
            return False
        # Numbers of nodes and epochs must not be given twice; who fails over sees to it.
        standby.boots = self.tables.boots
        standby.leases = [
            lease if lease == now else (lease[0], now[1] + 1)
            for lease, now in zip(standby.leases, self.tables.leases, strict=True)
        ]
        self.tables = standby
        self.rewinds += 1
        return True
