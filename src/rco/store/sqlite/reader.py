"""The reading side: a few threads, each with a connection that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from rco.errors import Conflict, StoreError
from rco.kit.clock import Clock
from rco.kit.gather import Gather
from rco.model.attribute import Attribute
from rco.model.endpoint import Endpoint
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.namespace import NamespaceRow, Usage
from rco.model.principal import Principal
from rco.model.queue import Item
from rco.model.run import Mode, RunRow
from rco.model.staged import StagedObject
from rco.store import rows
from rco.store.contract.endpoints import EndpointPage
from rco.store.contract.limit_states import LimitState, StatesRead
from rco.store.contract.namespace_keys import NamespaceKey, NamespaceKeyPage
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.queues import Counted, QueueState
from rco.store.contract.reader import EventMark, RunFilter, Segment
from rco.store.contract.revocations import Revocation, RevocationPage
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.versions import NodeVersion, OpenRuns
from rco.store.contract.writer import Seal
from rco.store.sqlite import (
    attributes,
    endpoints,
    limit_states,
    namespace_keys,
    namespaces,
    payloads,
    queues,
    read_evidence,
    read_intake,
    read_runs,
    revocations,
    schedules,
    staging,
    versions,
)
from rco.store.sqlite.connection import in_memory, open_reader
from rco.store.sqlite.options import SqliteOptions
from rco.store.sqlite.writer import SqliteWriter

__all__ = ["SqliteReader"]

T = TypeVar("T")

# A token that already stands for somebody else is refused by the unique index rather than taken over.
_NEW_PRINCIPAL = f"INSERT INTO principal ({rows.PRINCIPAL_COLUMNS}, token_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FOUND_PRINCIPAL = f"{_NEW_PRINCIPAL} ON CONFLICT (principal_id) DO NOTHING"
_ADD_PRINCIPAL = (
    f"{_NEW_PRINCIPAL} ON CONFLICT (principal_id) DO UPDATE SET name = excluded.name, role = excluded.role,"
    " namespace = excluded.namespace, namespaces = excluded.namespaces, expires_us = excluded.expires_us,"
    " created_us = excluded.created_us, origin = excluded.origin, token_digest = excluded.token_digest"
)


class SqliteReader:
    """Implements ``rco.store.contract.reader.Reader``.

    Every read is one snapshot of committed state. A page holds at most ``options.read_limit`` rows, whatever was asked
    for. After ``stop`` every read raises ``StoreError``.
    """

    def __init__(
        self,
        path: Path,
        writer: SqliteWriter,
        options: SqliteOptions,
        clock: Clock,
        turns: threading.Lock | None = None,
    ) -> None:
        self._turns: AbstractContextManager[object] = turns or nullcontext()
        self._path, self._writer, self._options, self._clock = path, writer, options, clock
        self._pool: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._swapping = asyncio.Lock()
        self._rows, self._journals, self._inboxes = (
            Gather(self._of_each(read)) for read in (read_runs.run, read_runs.journal, read_runs.messages)
        )

    def begin(self) -> None:
        """Ready to read; connections are opened when they are first needed."""
        self._pool = ThreadPoolExecutor(self._options.readers, thread_name_prefix="rco-sqlite-reader")

    async def stop(self) -> None:
        """Wait for reads under way, then close. May be called before ``begin`` and twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)
            while self._opened:
                self._opened.pop().close()

    async def _ask(self, read: Callable[[sqlite3.Connection], T]) -> T:
        if self._pool is None:
            raise StoreError("The database is not open for reading.", cure="Call the keeper's start().")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, read)

    async def ask(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What ``read`` finds in one snapshot, for who asks what is no family of its own."""
        return await self._ask(read)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = open_reader(self._path, self._options)
                self._opened.append(connection)
            # One transaction: a run that closes between two statements would be seen twice or not at all.
            with self._turns:
                connection.execute("BEGIN")
                try:
                    return read(connection)
                finally:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"The database could not be read: {error}.") from error

    def _of_each(
        self, read: Callable[[sqlite3.Connection, bytes], Any]
    ) -> Callable[[list[bytes]], Awaitable[dict[bytes, Any]]]:
        """The same question of several runs, in one turn of a thread."""

        async def ask(run_ids: list[bytes]) -> dict[bytes, Any]:
            return await self._ask(lambda connection: {run_id: read(connection, run_id) for run_id in run_ids})

        return ask

    def _bounded(self, limit: int) -> int:
        return max(0, min(limit, self._options.read_limit))

    async def run(self, run_id: bytes) -> RunRow | None:
        row: RunRow | None = await self._rows(run_id)
        return row

    async def runs(self, where: RunFilter) -> list[RunRow]:
        limit = self._bounded(where.limit)
        return await self._ask(lambda connection: read_runs.runs(connection, where, limit))

    async def count_runs(self, where: RunFilter) -> int:
        return await self._ask(lambda connection: read_runs.count_runs(connection, where))

    async def attributes(self, run_ids: list[bytes]) -> dict[bytes, list[Attribute]]:
        return await self._ask(lambda connection: attributes.of_runs(connection, run_ids))

    async def open_runs(
        self,
        mode: Mode,
        after: bytes | None,
        limit: int,
        shards: Shards | None = None,  # noqa: ARG002 - one owner has them all
        pool: Pooled | None = None,
    ) -> list[RunRow]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: read_runs.open_runs(connection, mode, after, limit, pool))

    async def count_open(self) -> dict[Mode, int]:
        """Every mode of an open run is in it, with 0 where there is none."""
        return await self._ask(read_runs.count_open)

    async def key_holder(self, namespace: str, key: str) -> bytes | None:
        return await self._ask(lambda connection: read_runs.key_holder(connection, namespace, key))

    async def forks(self, namespace: str, run_id: bytes, limit: int) -> list[bytes]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: read_runs.forks(connection, namespace, run_id, limit))

    async def journal(self, run_id: bytes) -> list[Segment]:
        return list(await self._journals(run_id) or ())

    async def segments(
        self,
        first_n: int,
        last_n: int,
        chain: str = "",  # noqa: ARG002 - one writer, one chain
    ) -> list[Segment]:
        """In the order of the commits and, within one, of its leaves. A row that retention dropped is left out."""
        return await self._ask(lambda connection: read_evidence.segments(connection, first_n, last_n))

    async def due(
        self,
        before_us: int,
        limit: int,
        shards: Shards | None = None,  # noqa: ARG002 - one owner has them all
        pool: Pooled | None = None,
    ) -> list[tuple[int, bytes]]:
        limit = max(0, limit)
        return await self._ask(lambda connection: read_runs.due(connection, before_us, limit, pool))

    async def messages(self, run_id: bytes) -> list[Message]:
        return list(await self._inboxes(run_id) or ())

    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        return await self._ask(lambda connection: read_intake.event(connection, namespace, event_id, source))

    async def events(
        self, namespace: str, type: str | None, after: EventMark | None, limit: int
    ) -> list[tuple[EventMark, Event]]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: read_intake.events(connection, namespace, type, after, limit))

    async def letter(self, letter_id: bytes) -> DeadLetter | None:
        return await self._ask(lambda connection: read_intake.letter(connection, letter_id))

    async def letters(self, namespace: str, replayed: bool, limit: int, after: bytes | None = None) -> list[DeadLetter]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: read_intake.letters(connection, namespace, replayed, limit, after))

    async def schedule(self, schedule_id: bytes) -> ScheduleRow | None:
        return await self._ask(lambda connection: schedules.by_id(connection, schedule_id))

    async def schedule_named(self, namespace: str, name: str) -> ScheduleRow | None:
        return await self._ask(lambda connection: schedules.by_name(connection, namespace, name))

    async def schedules(self, namespace: str, after: str, limit: int, origin: str | None = None) -> list[ScheduleRow]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: schedules.page(connection, namespace, after, limit, origin))

    async def count_schedules(self, namespace: str) -> int:
        return await self._ask(lambda connection: schedules.count(connection, namespace))

    async def schedules_due(
        self,
        after: tuple[int, bytes],
        before_us: int,
        limit: int,
        shards: Shards | None = None,  # noqa: ARG002 - one owner has them all
    ) -> list[ScheduleRow]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: schedules.due(connection, after, before_us, limit))

    async def schedules_under_others(
        self,
        rules: str,
        after: bytes,
        limit: int,
        shards: Shards | None = None,  # noqa: ARG002 - likewise
    ) -> list[ScheduleRow]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: schedules.under_others(connection, rules, after, limit))

    async def queue_keys(self, queue: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: queues.keys(connection, queue, after, limit))

    async def queue_heads(self, queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
        return await self._ask(lambda connection: queues.heads(connection, queue, keys, limit))

    async def queue_running(self, queue: str) -> list[Item]:
        return await self._ask(lambda connection: queues.running(connection, queue))

    async def queue_item(self, run_id: bytes) -> Item | None:
        return await self._ask(lambda connection: queues.item(connection, run_id))

    async def queue_counts(self) -> list[Counted]:
        return await self._ask(queues.counts)

    async def queue_states(self) -> list[QueueState]:
        return await self._ask(queues.states)

    async def chains(self) -> list[str]:
        return [""]

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:  # noqa: ARG002 - likewise
        limit = self._bounded(limit)
        return await self._ask(lambda connection: read_evidence.seals(connection, first_n, limit))

    async def head(self, chain: str = "") -> Seal | None:  # noqa: ARG002 - likewise
        return await self._ask(read_evidence.head)

    async def principal(self, token_digest: bytes) -> Principal | None:
        return await self._ask(lambda connection: read_evidence.principal(connection, token_digest))

    async def principals(self) -> list[Principal]:
        return await self._ask(read_evidence.principals)

    async def add_principal(self, principal: Principal, token_digest: bytes) -> None:
        """Written by the writer, in its next transaction. Raises ``Conflict`` when the token is another principal's."""
        await self._put_principal(_ADD_PRINCIPAL, principal, token_digest)

    async def found_principal(self, principal: Principal, token_digest: bytes) -> bool:
        """Likewise."""
        await self._put_principal(_FOUND_PRINCIPAL, principal, token_digest)
        return await self.principal(token_digest) is not None

    async def drop_principal(self, principal_id: str) -> None:
        await self._writer.chore("DELETE FROM principal WHERE principal_id = ?", (principal_id,))

    async def _put_principal(self, sql: str, principal: Principal, token_digest: bytes) -> None:
        try:
            await self._writer.chore(sql, rows.principal_values(principal, token_digest))
        except sqlite3.IntegrityError as error:
            raise Conflict("The token already belongs to another principal.", cure="Make a new token.") from error

    async def namespaces(self) -> list[NamespaceRow]:
        return await self._ask(namespaces.listed)

    async def namespace_usage(self, name: str) -> Usage:
        now_us = self._clock.now_us()
        return await self._ask(lambda connection: namespaces.usage(connection, name, now_us))

    async def put_namespace(self, row: NamespaceRow, expect: int | None) -> bool:
        """Written by the writer, in its next transaction."""
        if expect is None:
            await self._writer.chore(namespaces.PUT_IN, namespaces.put_in_values(row))
        else:
            await self._writer.chore(namespaces.CHANGE, namespaces.change_values(row, expect))
        return await self._ask(lambda connection: namespaces.one(connection, row.name)) == row

    async def recount_namespaces(self, names: list[str]) -> None:
        for name in names:
            await self._writer.chore(namespaces.RECOUNT, (name,))

    async def add_namespace_key(self, key: NamespaceKey) -> None:
        try:
            await self._writer.chore(namespace_keys.ADD, rows.namespace_key_values(key))
        except sqlite3.IntegrityError as error:
            raise Conflict(
                f"namespace {key.namespace!r} has a key of version {key.version}.", cure="Somebody made it: look again."
            ) from error

    async def rewrap_namespace_key(self, key_id: bytes, root_kid: str, wrapped: bytes) -> None:
        await self._writer.chore(namespace_keys.REWRAP, (key_id, root_kid, wrapped))
        await self._fold()

    async def erase_namespace_keys(self, namespace: str, at_us: int, by: str, why: str) -> int:
        """The rows are wiped, in the file and in its write-ahead log."""
        before = await self.namespace_keys(0, self._options.read_limit)
        await self._writer.chore(namespace_keys.ERASE, (namespace, at_us, by, why))
        await self._fold()
        return sum(key.namespace == namespace and key.erased_us is None for key in before.keys)

    async def _fold(self) -> None:
        if not in_memory(self._path):
            await asyncio.to_thread(namespace_keys.fold_log, self._path)

    async def namespace_keys(self, after: int, limit: int) -> NamespaceKeyPage:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: namespace_keys.page(connection, after, limit))

    async def revoke(self, entry: Revocation) -> Revocation:
        """Written by the writer, in its next transaction."""
        await self._writer.chore(revocations.ADD, revocations.values(entry))
        return await self._ask(lambda connection: revocations.find(connection, entry))

    async def cursor(self, name: str) -> int:
        def find(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT n FROM cursor_at WHERE name = ?", (name,)).fetchone()
            return int(found[0]) if found else 0

        return await self._ask(find)

    async def move_cursor(self, name: str, to: int) -> None:
        """Written by the writer, in its next transaction."""
        await self._writer.chore(
            "INSERT INTO cursor_at (name, n) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = max(n, excluded.n)",
            (name, to),
        )

    async def payload_space(self) -> str:
        return str(await self._ask(lambda connection: connection.execute(payloads.SPACE).fetchone()[0]))

    async def any_payloads(self) -> bool:
        return bool(await self._ask(lambda connection: connection.execute(payloads.ANY).fetchone()[0]))

    async def payloads_used(self, names: list[bytes]) -> set[bytes]:
        return await self._ask(lambda connection: payloads.used(connection, names))

    async def forget_payloads(self, names: list[bytes]) -> None:
        """Written by the writer, in its next transaction."""
        await asyncio.gather(*(self._writer.chore(payloads.FORGET, (name,)) for name in names))

    async def staged(self, key: str) -> StagedObject | None:
        return await self._ask(lambda connection: staging.find(connection, key))

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        return await self._ask(lambda connection: staging.before(connection, before_us, limit))

    async def unstage(self, moved: list[StagedObject]) -> None:
        """Written by the writer, in its next transaction."""
        await self._writer.work(staging.removing(moved))

    async def revocations(self, after: int, limit: int) -> RevocationPage:
        limit = self._bounded(limit)
        return await self._ask(lambda connection: revocations.page(connection, after, limit))

    async def announce(self, node: str, versions_: dict[str, str], current: str, at_us: int) -> dict[str, str]:
        """Written by the writer, in its next transaction. There is one node, so nobody announces at the same time."""
        others = await self._ask(lambda connection: versions.others(connection, versions_))
        if others:
            return others
        chores = [self._writer.chore(versions.FORGET, ())]
        for name, digest in versions_.items():
            chores.append(self._writer.chore(versions.KNOW, (name, digest, at_us)))
            chores.append(self._writer.chore(versions.HAVE, (node, name, int(name == current))))
        if not versions_:
            chores.append(self._writer.chore(versions.HAVE, (node, "", 0)))
        await asyncio.gather(*chores)
        return {}

    async def version_nodes(self) -> list[NodeVersion]:
        return await self._ask(versions.nodes)

    async def known_versions(self) -> dict[str, str]:
        return await self._ask(versions.known)

    async def count_versions(self, namespace: str | None) -> list[OpenRuns]:
        return await self._ask(lambda connection: versions.count(connection, namespace))

    async def limit_states(self, kind: str, names: Sequence[str] | None = None) -> StatesRead:
        found = await self._ask(lambda connection: limit_states.read(connection, kind, names))
        return StatesRead(self._clock.now_us(), found)

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        """Written by the writer, in its next transaction. This process is the only one, so it takes turns with itself
        and knows beforehand what will be written."""
        async with self._swapping:
            stand = await self._ask(lambda connection: limit_states.versions(connection, states))
            won = [one for one, version in zip(states, stand, strict=True) if one.version == version + 1]
            await asyncio.gather(*(self._writer.chore(limit_states.WRITE, limit_states.values(one)) for one in won))
        return StatesRead(self._clock.now_us(), won)

    async def swap_endpoint(self, endpoint: Endpoint) -> bool:
        """Written by the writer, in its next transaction. This process is the only one, so it takes turns with itself
        and knows beforehand whether it will be written."""
        async with self._swapping:
            stands = await self.endpoint(endpoint.endpoint_id)
            if endpoint.version != (0 if stands is None else stands.version) + 1:
                return False
            await self._writer.chore(endpoints.WRITE, rows.endpoint_values(endpoint))
        return True

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return await self._ask(lambda connection: endpoints.find(connection, endpoint_id))

    async def endpoints(self, after: int, limit: int) -> EndpointPage:
        limit = min(limit, self._options.read_limit)
        return await self._ask(lambda connection: endpoints.page(connection, after, limit))
