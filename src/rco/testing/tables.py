"""What a model database holds, in plain dictionaries.

Written from the contract and not from the SQL, so that the two check each other in the conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.errors import StoreError
from rco.model.attribute import Attribute
from rco.model.decision import Decision
from rco.model.endpoint import Endpoint
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.namespace import DEFAULT, NamespaceRow, Usage
from rco.model.principal import Principal
from rco.model.queue import Item
from rco.model.run import SHARDS, RunRow, shard_of
from rco.model.staged import StagedObject
from rco.store.contract.changes import Admitted, Changes, Claim, StartKey, Waiter
from rco.store.contract.limit_states import LimitState
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.payloads import PayloadUse
from rco.store.contract.queues import QueueState
from rco.store.contract.reader import Segment
from rco.store.contract.retaining import Removed
from rco.store.contract.revocations import Revocation
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.writer import Flushed, Seal
from rco.store.pools import Pools

__all__ = [
    "Appended",
    "Batch",
    "Committed",
    "Drop",
    "Gone",
    "Granted",
    "Rewound",
    "Tables",
]

Drop = Callable[["Tables", float], tuple[Removed, list[Decision]]]
"""Removes what is over its time from the tables, in a moment of the world; what it removed, and the record of it."""
_FIRST = bytes(32)


class Rewound(StoreError):
    """The database is behind what it had acknowledged."""


class Batch(msgspec.Struct, frozen=True):
    """What one writer asks to be written in one transaction. ``token`` tells it from every other."""

    token: tuple[str, int]
    changes: Changes
    notes: list[Decision]
    principals: list[tuple[Principal, bytes]]
    writer: str
    epoch: int
    at_us: int
    chain: str
    after: tuple[int, bytes]
    """Number and hash of the link that this writer knows as the last one of its chain."""
    fence: dict[int, int] | None
    """The epoch under which each shard is owned; ``None`` for the sole owner, whose ``epoch`` is the fence."""
    drops: list[Drop] = []


class Committed(msgspec.Struct, frozen=True):
    """What came of a transaction."""

    admitted: list[Admitted]
    refused: list[bool]
    seal: Seal
    flushed: Flushed
    removed: list[Removed] = []
    """Of each drop."""


class Appended(msgspec.Struct, frozen=True):
    """A segment that was appended, as only the database itself can tell: for checkers."""

    run_id: bytes
    first_seq: int
    records: int
    owner: str
    epoch: int
    """The epoch it was written under."""
    lease: tuple[str, int]
    """Owner and epoch of the shard in that moment."""
    at_s: float
    shard: int
    """The run's, before what was appended."""


class Granted(msgspec.Struct, frozen=True):
    """A turn in a queue that was given, as only the database itself can tell: for checkers."""

    item: Item
    epoch: int
    """That of the queue's shard."""
    at_s: float


class Returned(msgspec.Struct, frozen=True):
    """A turn that went back, likewise."""

    run_id: bytes
    at_s: float


class Gone(msgspec.Struct, frozen=True):
    """A run that retention removed, as it was: for checkers."""

    row: RunRow
    segments: list[Segment]
    at_s: float


class Tables(msgspec.Struct):
    """Committed state. ``copy`` is what a standby has."""

    runs: dict[bytes, RunRow] = {}
    closed: dict[bytes, RunRow] = {}
    journal: dict[bytes, list[Segment]] = {}
    timers: dict[bytes, int] = {}
    messages: dict[bytes, dict[str, Message]] = {}
    """In the order of their arrival."""
    waiters: dict[tuple[bytes, str], Waiter] = {}
    events: list[Event] = []
    keys: dict[tuple[str, str], StartKey] = {}
    claims: dict[bytes, Claim] = {}
    letters: dict[bytes, DeadLetter] = {}
    schedules: dict[bytes, ScheduleRow] = {}
    items: dict[bytes, Item] = {}
    attributes: dict[bytes, dict[str, Attribute]] = {}
    queue_states: dict[str, QueueState] = {}
    arrivals: int = 0
    """Places that were given in ordered queues."""
    namespaces: dict[str, NamespaceRow] = msgspec.field(default_factory=lambda: {DEFAULT: NamespaceRow(name=DEFAULT)})
    granted: list[Granted] = []
    returned: list[Returned] = []
    removed: dict[bytes, Gone] = {}
    principals: dict[str, tuple[Principal, bytes]] = {}
    revocations: list[Revocation] = []
    counted: dict[str, Usage] = {}
    """Of the namespaces with quotas: what was begun and accepted in the second and the day that it says."""
    versions: dict[str, str] = {}
    """Digest of the code that each version stands for."""
    pools: dict[tuple[str, str], bool] = {}
    """By node and version, whether new runs begin with it there."""
    limit_states: dict[tuple[str, str], LimitState] = {}
    namespace_keys: list[NamespaceKey] = []
    cursors: dict[str, int] = {}
    endpoints: dict[str, Endpoint] = {}
    payloads: dict[PayloadUse, None] = {}
    """Which objects are referred to, in order."""
    staged: dict[str, StagedObject] = {}
    endpoint_changes: list[str] = []
    """Which was changed, in order."""
    chains: dict[str, list[Seal]] = {}
    segments: dict[tuple[str, int], list[Segment]] = {}
    results: dict[tuple[str, int], Committed] = {}
    leases: list[tuple[str, int]] = msgspec.field(default_factory=lambda: [("", 0)] * SHARDS)
    """(owner, epoch) of each shard."""
    of_pools: Pools = msgspec.field(default_factory=Pools)
    """Which pools there are; ``leases`` goes on with theirs."""
    have: dict[str, frozenset[str]] = {}
    """What each node can run, as pins."""
    strays: list[str] = []
    """Rows that were written under a lease that is not that of their run."""
    nodes: dict[str, float] = {}
    """Until when each node is alive, in the database's time."""
    boots: int = 0
    appended: list[Appended] = []
    counts: dict[bytes, int] = {}
    """How many records of each run are durable, as its owners counted them."""

    def copy(self) -> Tables:
        """The same state, on its own from now on."""
        fields: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            fields[name] = value.copy() if isinstance(value, (dict, list)) else value
        fields["journal"] = {run_id: segments.copy() for run_id, segments in self.journal.items()}
        fields["messages"] = {run_id: inbox.copy() for run_id, inbox in self.messages.items()}
        fields["chains"] = {chain: seals.copy() for chain, seals in self.chains.items()}
        return Tables(**fields)

    def head(self, chain: str) -> tuple[int, bytes]:
        """Number and hash of the chain's last link; 0 and zero bytes when there is none."""
        seals = self.chains.get(chain)
        return (seals[-1].n, seals[-1].hash) if seals else (0, _FIRST)

    def swap_limit(self, state: LimitState) -> bool:
        """Write ``state`` if it is the next version of what stands there."""
        stands = self.limit_states.get((state.kind, state.name))
        if state.version != (stands.version if stands is not None else 0) + 1:
            return False
        self.limit_states[state.kind, state.name] = state
        return True

    def row(self, run_id: bytes) -> RunRow | None:
        return self.runs.get(run_id) or self.closed.get(run_id)

    def home(self, run_id: bytes, row: RunRow | None = None) -> int:
        """The shard of a run; ``row`` of one that is just being opened."""
        row = row or self.row(run_id)
        if row is None or len(self.leases) == SHARDS:
            return shard_of(run_id)
        return self.of_pools.home(run_id, row.version)
