"""The reading side of a model keeper: each read is one look at committed state, some time between asking and answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from rco.errors import Conflict, StoreError
from rco.kit.clock import MICROS, Clock
from rco.model.attribute import Attribute
from rco.model.endpoint import Endpoint
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.namespace import NamespaceRow, Usage
from rco.model.principal import Principal
from rco.model.queue import Item, ItemState
from rco.model.run import Mode, RunRow, fork_prefix, shard_of
from rco.model.staged import StagedObject
from rco.model.version import is_pin, named, pin
from rco.store.contract.endpoints import EndpointPage
from rco.store.contract.limit_states import LimitState, StatesRead
from rco.store.contract.namespace_keys import NamespaceKey, NamespaceKeyPage
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.queues import Counted, QueueState
from rco.store.contract.reader import EventMark, RunFilter, Segment
from rco.store.contract.revocations import Revocation, RevocationPage, RevokedKind
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.versions import NodeVersion, OpenRuns
from rco.store.contract.writer import Seal
from rco.store.pools import byte_of
from rco.testing import table_payloads, table_queues, table_staged
from rco.testing.clocks import EPOCH_US
from rco.testing.database import ModelDatabase
from rco.testing.link import ConnectionLost, Link, told
from rco.testing.store_lanes import ModelLanes
from rco.testing.store_writer import ModelWriter
from rco.testing.table_attributes import has
from rco.testing.table_quotas import usage_of
from rco.testing.tables import Tables

__all__ = ["ModelReader"]

T = TypeVar("T")
READ_LIMIT = 10_000


class ModelReader:
    """Implements ``rco.store.contract.reader.Reader``. A read whose connection breaks is asked again."""

    def __init__(
        self, database: ModelDatabase, link: Link, writer: ModelWriter | ModelLanes, chain: str, clock: Clock
    ) -> None:
        self._clock = clock
        self._database, self._link, self._writer, self._chain = database, link, writer, chain
        self._open = False

    def begin(self) -> None:
        self._open = True

    async def stop(self) -> None:
        self._open = False

    async def ask(self, read: Callable[[Tables], T]) -> T:
        """The result of ``read`` on committed state."""
        pause_s = 0.05
        while True:
            if not self._open:
                raise StoreError("The database is not open for reading.", cure="Call the keeper's start().")
            try:
                answer: T = await told(self._link, lambda: read(self._database.tables))
            except ConnectionLost:
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
            else:
                return answer

    async def run(self, run_id: bytes) -> RunRow | None:
        return await self.ask(lambda tables: tables.row(run_id))

    async def count_runs(self, where: RunFilter) -> int:
        return len(await self._found(where))

    async def runs(self, where: RunFilter) -> list[RunRow]:
        return (await self._found(where))[: _bounded(where.limit)]

    async def _found(self, where: RunFilter) -> list[RunRow]:
        def read(tables: Tables) -> list[RunRow]:
            rows: list[RunRow] = []
            if where.outcome is None:
                rows += [row for row in tables.runs.values() if where.mode in (None, row.mode)]
            if where.mode in (None, Mode.CLOSED) and not where.open_only:
                rows += [row for row in tables.closed.values() if where.outcome in (None, row.outcome)]
            rows = [
                row
                for row in rows
                if row.namespace == where.namespace
                and where.workflow in (None, row.workflow)
                and where.version in (None, row.version)
                and (not where.corr_id or where.corr_id == row.corr_id)
                and (where.ids is None or row.run_id in where.ids)
                and (where.after is None or row.run_id < where.after)
                and has(tables.attributes.get(row.run_id, {}), where.attributes)
                and _fits(row, where)
            ]
            return sorted(rows, key=lambda row: row.run_id, reverse=True)

        return await self.ask(read)

    async def attributes(self, run_ids: list[bytes]) -> dict[bytes, list[Attribute]]:
        def read(tables: Tables) -> dict[bytes, list[Attribute]]:
            held = {run_id: tables.attributes.get(run_id) for run_id in run_ids}
            return {run_id: [mine[name] for name in sorted(mine)] for run_id, mine in held.items() if mine}

        return await self.ask(read)

    async def open_runs(
        self, mode: Mode, after: bytes | None, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[RunRow]:
        def read(tables: Tables) -> list[RunRow]:
            found = [
                row
                for row in tables.runs.values()
                if row.mode is mode and row.run_id > (after or b"") and _among(row, shards, pool)
            ]
            found.sort(key=lambda row: row.run_id)
            return found[: _bounded(limit)]

        return await self.ask(read)

    async def count_open(self) -> dict[Mode, int]:
        def read(tables: Tables) -> dict[Mode, int]:
            counts: dict[Mode, int] = {mode: 0 for mode in Mode if mode is not Mode.CLOSED}
            for row in tables.runs.values():
                counts[row.mode] += 1
            return counts

        return await self.ask(read)

    async def key_holder(self, namespace: str, key: str) -> bytes | None:
        held = await self.ask(lambda tables: tables.keys.get((namespace, key)))
        return None if held is None else held.run_id

    async def forks(self, namespace: str, run_id: bytes, limit: int) -> list[bytes]:
        first = fork_prefix(run_id)
        held = await self.ask(lambda tables: sorted((key, one.run_id) for key, one in tables.keys.items()))
        return [fork for (where, key), fork in held if where == namespace and key.startswith(first)][:limit]

    async def journal(self, run_id: bytes) -> list[Segment]:
        found = await self.ask(lambda tables: list(tables.journal.get(run_id, ())))
        return sorted(found, key=lambda segment: segment.first_seq)

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:  # noqa: ARG002 - its own
        def read(tables: Tables) -> list[Segment]:
            last = min(last_n, tables.head(self._chain)[0])
            return [one for n in range(first_n, last + 1) for one in tables.segments.get((self._chain, n), ())]

        return await self.ask(read)

    async def due(
        self, before_us: int, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[tuple[int, bytes]]:
        def read(tables: Tables) -> list[tuple[int, bytes]]:
            found = [
                (due_us, run_id)
                for run_id, due_us in tables.timers.items()
                if due_us < before_us and _among(tables.runs[run_id], shards, pool)
            ]
            return sorted(found)[: max(0, limit)]

        return await self.ask(read)

    async def messages(self, run_id: bytes) -> list[Message]:
        return await self.ask(lambda tables: list(tables.messages.get(run_id, {}).values()))

    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        def read(tables: Tables) -> Event | None:
            found = [one for one in tables.events if (one.namespace, one.id) == (namespace, event_id)]
            found = [one for one in found if source in (None, one.source)]
            return found[-1] if found else None

        return await self.ask(read)

    async def events(
        self, namespace: str, type: str | None, after: EventMark | None, limit: int
    ) -> list[tuple[EventMark, Event]]:
        def read(tables: Tables) -> list[tuple[EventMark, Event]]:
            found = [
                ((event.received_us, place), event)
                for place, event in enumerate(tables.events)
                if event.namespace == namespace
                and type in (None, event.type)
                and (after is None or (event.received_us, place) < after)
            ]
            found.sort(key=lambda one: one[0], reverse=True)
            return found[: _bounded(limit)]

        return await self.ask(read)

    async def letter(self, letter_id: bytes) -> DeadLetter | None:
        return await self.ask(lambda tables: tables.letters.get(letter_id))

    async def letters(self, namespace: str, replayed: bool, limit: int, after: bytes | None = None) -> list[DeadLetter]:
        def read(tables: Tables) -> list[DeadLetter]:
            found = [
                letter
                for letter in tables.letters.values()
                if letter.event.namespace == namespace
                and (letter.replayed_us is not None) is replayed
                and (after is None or letter.letter_id < after)
            ]
            found.sort(key=lambda letter: letter.letter_id, reverse=True)
            return found[: _bounded(limit)]

        return await self.ask(read)

    async def schedule(self, schedule_id: bytes) -> ScheduleRow | None:
        return await self.ask(lambda tables: tables.schedules.get(schedule_id))

    async def schedule_named(self, namespace: str, name: str) -> ScheduleRow | None:
        found = await self._schedules(lambda row: (row.namespace, row.name) == (namespace, name))
        return found[0] if found else None

    async def schedules(self, namespace: str, after: str, limit: int, origin: str | None = None) -> list[ScheduleRow]:
        found = await self._schedules(
            lambda row: row.namespace == namespace and row.name > after and origin in (None, row.origin)
        )
        return sorted(found, key=lambda row: row.name)[: _bounded(limit)]

    async def count_schedules(self, namespace: str) -> int:
        return len(await self._schedules(lambda row: row.namespace == namespace))

    async def schedules_due(
        self, after: tuple[int, bytes], before_us: int, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        def counts(row: ScheduleRow) -> bool:
            return row.due_us is not None and row.due_us < before_us and _in(row.schedule_id, shards)

        found = [(row.due_us or 0, row.schedule_id, row) for row in await self._schedules(counts)]
        return [row for due_us, identity, row in sorted(found) if (due_us, identity) > after][: _bounded(limit)]

    async def schedules_under_others(
        self, rules: str, after: bytes, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        found = await self._schedules(
            lambda row: row.rules != rules and row.schedule_id > after and _in(row.schedule_id, shards)
        )
        return sorted(found, key=lambda row: row.schedule_id)[: _bounded(limit)]

    async def _schedules(self, counts: Callable[[ScheduleRow], bool]) -> list[ScheduleRow]:
        return await self.ask(lambda tables: [row for row in tables.schedules.values() if counts(row)])

    async def queue_keys(self, queue: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
        return await self.ask(lambda tables: table_queues.keys(tables.items, queue, after, _bounded(limit)))

    async def queue_heads(self, queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
        return await self.ask(lambda tables: table_queues.heads(tables.items, queue, keys, limit))

    async def queue_running(self, queue: str) -> list[Item]:
        def read(tables: Tables) -> list[Item]:
            return [one for one in tables.items.values() if (one.queue, one.state) == (queue, ItemState.RUNNING)]

        return await self.ask(read)

    async def queue_item(self, run_id: bytes) -> Item | None:
        return await self.ask(lambda tables: tables.items.get(run_id))

    async def queue_counts(self) -> list[Counted]:
        return await self.ask(lambda tables: table_queues.counted(tables.items))

    async def queue_states(self) -> list[QueueState]:
        return await self.ask(lambda tables: [state for _, state in sorted(tables.queue_states.items())])

    async def chains(self) -> list[str]:
        """Its node's own, as if there were no other."""
        return [""]

    @property
    def chain(self) -> str:
        """The name of its node's chain in the database."""
        return self._chain

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:  # noqa: ARG002 - its own
        def read(tables: Tables) -> list[Seal]:
            return [seal for seal in tables.chains.get(self._chain, ()) if seal.n >= first_n][: _bounded(limit)]

        return await self.ask(read)

    async def head(self, chain: str = "") -> Seal | None:  # noqa: ARG002 - its own
        def read(tables: Tables) -> Seal | None:
            seals = tables.chains.get(self._chain)
            return seals[-1] if seals else None

        return await self.ask(read)

    async def principal(self, token_digest: bytes) -> Principal | None:
        def read(tables: Tables) -> Principal | None:
            return next((one for one, token in tables.principals.values() if token == token_digest), None)

        return await self.ask(read)

    async def principals(self) -> list[Principal]:
        def read(tables: Tables) -> list[Principal]:
            return [one for _, (one, _) in sorted(tables.principals.items())]

        return await self.ask(read)

    async def add_principal(self, principal: Principal, token_digest: bytes) -> None:
        if await self._writer.principal(principal, token_digest):
            raise Conflict("The token already belongs to another principal.", cure="Make a new token.")

    async def found_principal(self, principal: Principal, token_digest: bytes) -> bool:
        def write(tables: Tables) -> bool:
            if any(held == token_digest and one != principal for one, held in tables.principals.values()):
                raise Conflict("The token already belongs to another principal.", cure="Make a new token.")
            return tables.principals.setdefault(principal.principal_id, (principal, token_digest))[1] == token_digest

        return await self.ask(write)

    async def drop_principal(self, principal_id: str) -> None:
        await self.ask(lambda tables: tables.principals.pop(principal_id, None))

    async def namespaces(self) -> list[NamespaceRow]:
        return await self.ask(lambda tables: [row for _, row in sorted(tables.namespaces.items())])

    async def namespace_usage(self, name: str) -> Usage:
        now_us = self._clock.now_us()
        return await self.ask(lambda tables: usage_of(tables, name, now_us))

    async def put_namespace(self, row: NamespaceRow, expect: int | None) -> bool:
        def write(tables: Tables) -> bool:
            there = tables.namespaces.get(row.name)
            if (None if there is None else there.revision) == expect:
                tables.namespaces[row.name] = there = row
            return there == row

        return await self.ask(write)

    async def recount_namespaces(self, names: list[str]) -> None:
        """The model counts at every commit."""

    async def add_namespace_key(self, key: NamespaceKey) -> None:
        def write(tables: Tables) -> bool:
            same = [
                one for one in tables.namespace_keys if (one.namespace, one.version) == (key.namespace, key.version)
            ]
            if not same:
                tables.namespace_keys.append(msgspec.structs.replace(key, seq=_next(tables)))
            # Asked again because its answer was lost, it is there already and is ours.
            return not same or same[0].key_id == key.key_id

        if not await self.ask(write):
            raise Conflict(
                f"namespace {key.namespace!r} has a key of version {key.version}.", cure="Somebody made it: look again."
            )

    async def rewrap_namespace_key(self, key_id: bytes, root_kid: str, wrapped: bytes) -> None:
        def write(tables: Tables) -> None:
            for place, one in enumerate(tables.namespace_keys):
                if one.key_id == key_id and one.erased_us is None:
                    tables.namespace_keys[place] = msgspec.structs.replace(
                        one, root_kid=root_kid, wrapped=wrapped, seq=_next(tables)
                    )

        await self.ask(write)

    async def erase_namespace_keys(self, namespace: str, at_us: int, by: str, why: str) -> int:
        def write(tables: Tables) -> int:
            count = 0
            for place, one in enumerate(tables.namespace_keys):
                if one.namespace == namespace and one.erased_us is None:
                    count += 1
                    tables.namespace_keys[place] = msgspec.structs.replace(
                        one, wrapped=b"", erased_us=at_us, erased_by=by, erased_why=why, seq=_next(tables)
                    )
            return count

        return await self.ask(write)

    async def namespace_keys(self, after: int, limit: int) -> NamespaceKeyPage:
        def read(tables: Tables) -> NamespaceKeyPage:
            behind = sorted((one for one in tables.namespace_keys if one.seq > after), key=lambda one: one.seq)
            return NamespaceKeyPage(_next(tables) - 1, behind[: _bounded(limit)])

        return await self.ask(read)

    async def revoke(self, entry: Revocation) -> Revocation:
        def write(tables: Tables) -> Revocation:
            same = [one for one in tables.revocations if (one.kind, one.name) == (entry.kind, entry.name)]
            if same and entry.kind is not RevokedKind.EPOCH:
                return same[0]
            newest = max((one.epoch for one in same), default=0)
            epoch = newest + 1 if entry.kind is RevokedKind.EPOCH else 0
            done = msgspec.structs.replace(entry, seq=_newest(tables) + 1, epoch=epoch)
            tables.revocations.append(done)
            return done

        return await self.ask(write)

    async def swap_endpoint(self, endpoint: Endpoint) -> bool:
        def swap(tables: Tables) -> bool:
            stands = tables.endpoints.get(endpoint.endpoint_id)
            if endpoint.version != (stands.version if stands is not None else 0) + 1:
                return False
            tables.endpoints[endpoint.endpoint_id] = endpoint
            tables.endpoint_changes.append(endpoint.endpoint_id)
            return True

        return await self.ask(swap)

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return await self.ask(lambda tables: tables.endpoints.get(endpoint_id))

    async def endpoints(self, after: int, limit: int) -> EndpointPage:
        def read(tables: Tables) -> EndpointPage:
            latest = {one: number for number, one in enumerate(tables.endpoint_changes, 1)}
            behind = [(number, one) for one, number in latest.items() if number > after]
            found = sorted(behind)[: _bounded(limit)]
            return EndpointPage(found[-1][0] if found else after, [tables.endpoints[one] for _, one in found])

        return await self.ask(read)

    async def limit_states(self, kind: str, names: Sequence[str] | None = None) -> StatesRead:
        def read(tables: Tables) -> StatesRead:
            found = [
                state
                for (of, name), state in sorted(tables.limit_states.items())
                if of == kind and (names is None or name in names)
            ]
            return StatesRead(self._now_us(), found)

        return await self.ask(read)

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        def swap(tables: Tables) -> StatesRead:
            won = [one for one in states if tables.swap_limit(one)]
            return StatesRead(self._now_us(), won)

        return await self.ask(swap)

    def _now_us(self) -> int:
        return EPOCH_US + round(self._database.now_s() * MICROS)

    async def payload_space(self) -> str:
        return "0" * 16

    async def any_payloads(self) -> bool:
        return await self.ask(lambda tables: bool(tables.payloads))

    async def payloads_used(self, names: list[bytes]) -> set[bytes]:
        return await self.ask(lambda tables: table_payloads.used(tables, names))

    async def forget_payloads(self, names: list[bytes]) -> None:
        await self.ask(lambda tables: table_payloads.forget(tables, names))

    async def staged(self, key: str) -> StagedObject | None:
        return await self.ask(lambda tables: tables.staged.get(key))

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        return await self.ask(lambda tables: table_staged.before(tables, before_us, limit))

    async def unstage(self, moved: list[StagedObject]) -> None:
        await self.ask(lambda tables: table_staged.remove(tables, moved))

    async def cursor(self, name: str) -> int:
        return await self.ask(lambda tables: tables.cursors.get(name, 0))

    async def move_cursor(self, name: str, to: int) -> None:
        def write(tables: Tables) -> None:
            tables.cursors[name] = max(to, tables.cursors.get(name, 0))

        await self.ask(write)

    async def revocations(self, after: int, limit: int) -> RevocationPage:
        def read(tables: Tables) -> RevocationPage:
            behind = [one for one in tables.revocations if one.seq > after]
            return RevocationPage(_newest(tables), behind[: _bounded(limit)])

        return await self.ask(read)

    async def announce(self, node: str, versions: dict[str, str], current: str, at_us: int) -> dict[str, str]:  # noqa: ARG002 - nobody asks since when
        def write(tables: Tables) -> dict[str, str]:
            pinned = {row.version for row in tables.runs.values()}
            others = {
                name: known
                for name, known in tables.versions.items()
                if versions.get(name, known) != known and pin(name) in pinned
            }
            if not others:
                tables.versions.update(versions)
                tables.pools = {key: value for key, value in tables.pools.items() if key[0] != node}
                tables.pools.update({(node, name): bool(name) and name == current for name in versions or [""]})
            return others

        return await self.ask(write)

    async def version_nodes(self) -> list[NodeVersion]:
        def read(tables: Tables) -> list[NodeVersion]:
            found = sorted((name, node, current) for (node, name), current in tables.pools.items())
            owners = {owner for owner, _ in tables.leases}
            return [NodeVersion(node, name, current, node in owners) for name, node, current in found]

        return await self.ask(read)

    async def known_versions(self) -> dict[str, str]:
        return await self.ask(lambda tables: dict(sorted(tables.versions.items())))

    async def count_versions(self, namespace: str | None) -> list[OpenRuns]:
        def read(tables: Tables) -> list[OpenRuns]:
            counts: dict[str, int] = {}
            for row in tables.runs.values():
                if is_pin(row.version) and namespace in (None, row.namespace):
                    counts[named(row.version)] = counts.get(named(row.version), 0) + 1
            return [OpenRuns(version, count) for version, count in sorted(counts.items())]

        return await self.ask(read)


def _among(row: RunRow, shards: Shards | None, pool: Pooled | None) -> bool:
    byte = shard_of(row.run_id)
    if pool is None:
        return shards is None or any(byte_of(shard) == byte for shard in shards)
    if is_pin(row.version):
        own = pool.get(row.version, frozenset())
        return own is None or byte in own
    return _in(row.run_id, shards)


def _next(tables: Tables) -> int:
    return max((one.seq for one in tables.namespace_keys), default=0) + 1


def _in(run_id: bytes, shards: Shards | None) -> bool:
    return shards is None or shard_of(run_id) in shards


def _fits(row: RunRow, where: RunFilter) -> bool:
    if where.opened_from_us is not None and row.opened_us < where.opened_from_us:
        return False
    if where.opened_to_us is not None and row.opened_us >= where.opened_to_us:
        return False
    if where.users_only and row.workflow.startswith("rco."):
        return False
    if where.code is not None:
        told = msgspec.json.decode(row.detail) if row.detail else None
        told = told if isinstance(told, dict) else {}
        error = told.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if where.code != (code or told.get("cause")):
            return False
    text = "\n".join(((row.detail or b"").decode(), row.key or "", row.corr_id))
    return where.text is None or where.text.lower() in text.lower()


def _bounded(limit: int) -> int:
    return max(0, min(limit, READ_LIMIT))


def _newest(tables: Tables) -> int:
    """The newest number of a revocation."""
    return max((one.seq for one in tables.revocations), default=0)
