"""One transaction as the arguments of one statement: a batch and its verdicts in, arrays and a link out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.model.message import HANDED, NOTHING, Message
from rco.model.run import RunRow, shard_of
from rco.model.version import is_pin
from rco.store.collector import Batch
from rco.store.contract.changes import Admitted, Changes
from rco.store.contract.writer import Seal, Sealer
from rco.store.judge import Added, Held, added, judge
from rco.store.pools import Pools
from rco.store.postgres import attributes, columns, namespaces, payloads, queues, schedules, staging, versions
from rco.store.postgres.evidence import leases_decision
from rco.store.queue_changes import net
from rco.store.quota import added_to, asked_spaces

__all__ = ["Chain", "Prepared", "ShardsLost", "prepare"]

_ARGUMENTS = 80
NO_POOLS = Pools()
_Sent = tuple[str, tuple[Any, ...]]
"""A statement and its arguments."""
FLUSH = f"SELECT rco_flush({', '.join(f'${at}' for at in range(1, _ARGUMENTS + 1))})"


class ShardsLost(Exception):
    """A batch holds rows of shards that this node does not own. Nothing of it was written."""


class Chain(msgspec.Struct):
    """Where a chain stands in memory."""

    name: str
    n: int
    prev: bytes


class Prepared(msgspec.Struct, frozen=True):
    """A batch as it is sent, and what it will have done."""

    statement: str
    arguments: tuple[Any, ...]
    seal: Seal
    admitted: list[Admitted]
    records: int
    size_bytes: int
    decisions: int
    claims: int
    leases: dict[int, int]
    """Epochs of the shards that the link is the first of its chain to be written under."""
    pokes: tuple[bytes, ...] = ()
    """Queues of other nodes that it writes to, as they are told."""


def prepare(
    batch: Batch,
    held: Held,
    *,
    chain: Chain,
    node: str,
    boot_id: bytes,
    epoch: int,
    epochs: dict[int, int],
    since_us: dict[int, int],
    told: dict[int, int],
    sealer: Sealer,
    clock: Clock,
    watched: frozenset[str] = frozenset(),
    pools: Pools = NO_POOLS,
) -> Prepared:
    """Judge the admissions and lay everything out in the order of ``rco_flush``.

    ``epochs`` are those of the shards owned, taken over at ``since_us``; ``told`` those that the chain names already.
    ``pools`` says in which shard a run is.
    Raises ``ShardsLost`` when one is not among them, ``ValueError`` and its
    like for a malformed value.
    """
    changes, at_us = batch.changes, clock.now_us()
    if changes.admissions:
        admitted = judge(changes, held, at_us)
        more = added(changes, admitted)
    else:
        admitted, more = [], Added([], [], [], [], [], [], [], [])
    shards, their_epochs = _fence(changes, more, epochs, pools)
    handed = _handed(changes, more, epochs, pools, at_us)
    decisions: list[Decision] = [*changes.decisions, *more.decisions, *batch.notes]
    leases = {shard: epochs[shard] for shard in shards if told.get(shard) != epochs[shard]}
    if leases:
        taken = {shard: (epoch, since_us.get(shard, at_us)) for shard, epoch in leases.items()}
        decisions.append(leases_decision(node, at_us, taken, pools))
    journal = _Journal()
    leaves = journal.fill(changes, more, sealer)
    seal = sealer.seal(
        writer=chain.name,
        n=chain.n + 1,
        epoch=epoch,
        at_us=at_us,
        prev=chain.prev,
        leaves=leaves,
        decisions=decisions,
    )
    # NULL is sent and read for a fraction of what an empty list costs. To rco_flush both are no rows.
    arguments: tuple[Any, ...] = (
        node,
        boot_id,
        chain.name,
        seal.n,
        seal.writer,
        seal.epoch,
        seal.at_us,
        seal.prev,
        seal.hash,
        seal.leaves,
        journal.places(),
        seal.decisions,
        shards or None,
        their_epochs or None,
        journal.run_ids or None,
        journal.seqs or None,
        journal.data or None,
        *columns.of(changes, more, handed),
    )
    sent: _Sent = (FLUSH, arguments)
    if more.schedules:
        sent = _around("rco_schedules", sent, schedules.columns(more.schedules))
    pokes: tuple[bytes, ...] = ()
    opened = (*changes.opened, *more.opened)
    put = queues.items(opened)
    if put or changes.queues:
        done = net(changes.queues)
        sent = _around("rco_queues", sent, queues.columns(put, done))
        pokes = tuple(one for one in queues.pokes(put, changes.queues) if one[15] not in epochs)
        if done.returned:
            sent = _around("rco_return", sent, queues.returned_columns(done))
        in_order = queues.ordered(opened) if put else []
        if in_order:
            sent = _around("rco_order", sent, queues.order_columns(in_order))
    if changes.attributes or any(row.attributes for row in opened):
        sent = _around("rco_attributes", sent, attributes.columns(opened, changes.attributes))
    if changes.versions:
        sent = _around("rco_versions", sent, versions.columns(changes.versions))
    if changes.payloads:
        sent = _around("rco_payloads", sent, payloads.columns(changes.payloads))
    if changes.staged:
        sent = _around("rco_stage", sent, staging.columns(changes.staged))
    if watched:
        sent = _counting(sent, changes, held, watched, at_us)
    return Prepared(
        *sent,
        seal,
        admitted,
        journal.records,
        journal.size_bytes,
        len(decisions),
        len(more.claims),
        leases,
        pokes,
    )


def _counting(
    sent: _Sent,
    changes: Changes,
    held: Held,
    watched: frozenset[str],
    at_us: int,
) -> _Sent:
    """The same, counting what it adds to namespaces that have quotas."""
    if held.spaces:
        counted = {name: space.added for name, space in held.spaces.items()}
    else:
        counted = added_to(changes, asked_spaces(changes, watched))
    if not counted:
        return sent
    return _around("rco_quota", sent, namespaces.columns(counted, at_us))


def _around(function: str, sent: _Sent, more: tuple[Any, ...]) -> _Sent:
    """The same, and ``function`` called with what it returns and with ``more``: one statement, one commit."""
    statement, arguments = sent
    return _calling(function, statement, len(arguments), len(more)), arguments + more


@lru_cache(maxsize=256)
def _calling(function: str, statement: str, arguments: int, more: int) -> str:
    # The same text each time is the same object, whose hash the driver's cache of statements needs not compute.
    places = ", ".join(f"${arguments + at}" for at in range(1, more + 1))
    return f"SELECT {function}({statement.removeprefix('SELECT ')}, {places})"


class _Journal:
    """The journal rows of a batch, column by column."""

    __slots__ = ("data", "records", "run_ids", "seqs", "size_bytes")

    def __init__(self) -> None:
        self.run_ids: list[bytes] = []
        self.seqs: list[int] = []
        self.data: list[bytes] = []
        self.records = self.size_bytes = 0

    def fill(self, changes: Changes, more: Added, sealer: Sealer) -> bytes:
        leaf = sealer.leaf
        run_ids, seqs, column = self.run_ids, self.seqs, self.data
        leaves: list[bytes] = []
        records = size_bytes = 0
        for draft in changes.drafts:
            parts = draft.parts
            if not parts:
                continue
            data = b"".join(parts)
            run_id, first_seq = draft.run_id, draft.first_seq
            run_ids.append(run_id)
            seqs.append(first_seq)
            column.append(data)
            leaves.append(leaf(run_id, first_seq, data))
            records += draft.records or len(parts)
            size_bytes += len(data)
        for starts in (changes.opened_segments, more.starts):
            for run_id, data in starts:
                run_ids.append(run_id)
                seqs.append(0)
                column.append(data)
                leaves.append(leaf(run_id, 0, data))
                records += 1
                size_bytes += len(data)
        self.records, self.size_bytes = records, size_bytes
        return b"".join(leaves)

    def places(self) -> bytes:
        return b"".join([run_id + seq.to_bytes(8, "big") for run_id, seq in zip(self.run_ids, self.seqs, strict=True)])


def _fence(changes: Changes, more: Added, epochs: dict[int, int], pools: Pools) -> tuple[list[int], list[int]]:
    """The shards of runs that are written to by their owner. Messages come from anywhere and name none; neither do runs
    that are opened for another to own, whom nobody can have written to."""
    runs = {draft.run_id for draft in changes.drafts}
    for rows_of in (changes.moved, changes.ended, changes.waiters):
        if rows_of:
            runs.update([row.run_id for row in rows_of])
    for pairs in (changes.taken, changes.waiters_gone, changes.versions):
        if pairs:
            runs.update([run_id for run_id, _ in pairs])
    if changes.homes:
        homes = changes.homes
        shards = {homes.get(run_id, run_id[15]) for run_id in runs}
    else:
        shards = {run_id[15] for run_id in runs}
    for opened in (changes.opened, more.opened):
        if opened:
            shards.update([pools.home(row.run_id, row.version) for row in opened if not _others(row, epochs, pools)])
    if more.schedules:
        shards.update([shard_of(write.row.schedule_id) for write in more.schedules if write.owned])
    if changes.queues:
        shards |= queues.fenced(changes.queues)
    lost = shards - epochs.keys()
    if lost:
        raise ShardsLost(f"shards {sorted(lost)[:8]} are not owned here")
    ordered = sorted(shards)
    return ordered, [epochs[shard] for shard in ordered]


def _others(row: RunRow, epochs: dict[int, int], pools: Pools) -> bool:
    """Whether a run that is opened here is for another node to own: of a pool that is others', or the child of such."""
    return (is_pin(row.version) or row.parent is not None) and pools.home(row.run_id, row.version) not in epochs


def _handed(changes: Changes, more: Added, epochs: dict[int, int], pools: Pools, at_us: int) -> list[Message]:
    """For each run that is another node's from this commit on, the message by which that hears of it."""
    if not (changes.opened or more.opened or changes.versions):
        return []
    runs = [row.run_id for opened in (changes.opened, more.opened) for row in opened if _others(row, epochs, pools)]
    runs += [run_id for run_id, version in changes.versions if pools.home(run_id, version) not in epochs]
    return [Message(run_id, HANDED, HANDED, HANDED, NOTHING, at_us) for run_id in dict.fromkeys(runs)]
