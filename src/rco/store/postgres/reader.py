"""The reading side: a pool of connections, one statement and so one snapshot for each question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

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
from rco.model.run import Mode, RunRow, fork_prefix
from rco.model.staged import StagedObject
from rco.store import rows
from rco.store.contract.endpoints import EndpointPage
from rco.store.contract.limit_states import CLOSED, LimitState, StatesRead
from rco.store.contract.namespace_keys import NamespaceKey, NamespaceKeyPage
from rco.store.contract.news import Topic
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.queues import Counted, QueueState
from rco.store.contract.reader import EventMark, RunFilter, Segment
from rco.store.contract.revocations import Revocation, RevocationPage
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.versions import NodeVersion, OpenRuns
from rco.store.contract.writer import Seal
from rco.store.postgres import (
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
from rco.store.postgres.connection import (
    Outage,
    Pool,
    answering_within,
    fetch,
    is_unique_violation,
    open_pool,
    patiently,
)
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.text import plain

__all__ = ["PostgresReader"]


_SILENT_S = 5.0


class PostgresReader:
    """Implements ``rco.store.contract.reader.Reader``.

    A page holds at most ``options.read_limit`` rows, whatever was asked for. A read that meets a lost connection, or a
    silent one, is tried again for ``options.connect_timeout_s``, at least once; where the server has been away for
    longer than that, whoever reads is told so at once. After ``stop`` every read raises ``StoreError``.
    """

    def __init__(self, dsn: str, *, clock: Clock, options: PostgresOptions) -> None:
        self._dsn, self._clock = dsn, clock
        # A connection is silent, not slow, when it has said nothing for as long as this: every read is a page.
        self._options = answering_within(options, max(options.ttl_s, _SILENT_S))
        self._patience_s = max(options.connect_timeout_s, 2 * self._options.answer_timeout_s)
        self._outage = Outage(self._patience_s)
        self._pool: Pool | None = None
        self._rows, self._journals = Gather(self._read_rows), Gather(self._read_journals)
        self._inboxes = Gather(self._read_inboxes)
        self.changed: Callable[[Topic], None] = _nobody
        """Told of what was written here that other nodes want to know."""
        self.node = ""
        """The node that reads."""
        self.on_announced: Callable[[Iterable[str]], Awaitable[None]] = _no_listener
        """Told which versions it has, once that stands."""

    async def begin(self) -> None:
        """Ready to read; connections are opened when they are first needed."""
        self._pool = await open_pool(self._dsn, self._options)

    async def stop(self) -> None:
        """Wait for reads under way, then close. May be called before ``begin`` and twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(self._options.give_up_at_stop_s):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _ask(self, sql: str, *values: Any) -> list[Any]:
        async def once() -> list[Any]:
            if self._pool is None:
                raise StoreError("The database is not open for reading.", cure="Call the keeper's start().")
            pool = self._pool
            connection = await pool.acquire()
            try:
                return await fetch(connection, self._options, sql, values)
            except TimeoutError:
                # Given back as it is, it would be waited for without end; and what silenced it silenced the others.
                connection.terminate()
                await pool.expire_connections()
                raise
            finally:
                await pool.release(connection)

        return await patiently(once, self._clock, self._options, self._patience_s, self._outage)

    async def _read_rows(self, run_ids: list[bytes]) -> dict[bytes, RunRow]:
        return {row.run_id: row for row in map(rows.run, await self._ask(read_runs.RUNS, run_ids))}

    async def _read_journals(self, run_ids: list[bytes]) -> dict[bytes, list[Segment]]:
        found: dict[bytes, list[Segment]] = {}
        for row in await self._ask(read_runs.JOURNALS, run_ids):
            found.setdefault(row[0], []).append(Segment(*row))
        return found

    async def _read_inboxes(self, run_ids: list[bytes]) -> dict[bytes, list[Message]]:
        found: dict[bytes, list[Message]] = {}
        for row in await self._ask(read_runs.MESSAGES, run_ids):
            found.setdefault(row[0], []).append(read_runs.message(row))
        return found

    def _bounded(self, limit: int) -> int:
        return max(0, min(limit, self._options.read_limit))

    async def run(self, run_id: bytes) -> RunRow | None:
        return await self._rows(run_id)

    async def runs(self, where: RunFilter) -> list[RunRow]:
        sql, values = read_runs.runs(where, self._bounded(where.limit))
        return [rows.run(row) for row in await self._ask(sql, *values)] if sql else []

    async def count_runs(self, where: RunFilter) -> int:
        sql, values = read_runs.count_runs(where)
        return int((await self._ask(sql, *values))[0][0]) if sql else 0

    async def attributes(self, run_ids: list[bytes]) -> dict[bytes, list[Attribute]]:
        return attributes.grouped(await self._ask(attributes.OF_RUNS, run_ids))

    async def open_runs(
        self, mode: Mode, after: bytes | None, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[RunRow]:
        sql, values = read_runs.open_runs(mode, after, self._bounded(limit), shards, pool)
        return [rows.run(row) for row in await self._ask(sql, *values)]

    async def count_open(self) -> dict[Mode, int]:
        """Every mode of an open run is in it, with 0 where there is none."""
        counts: dict[Mode, int] = {mode: 0 for mode in Mode if mode is not Mode.CLOSED}
        counts.update((Mode(mode), count) for mode, count in await self._ask(read_runs.COUNT))
        return counts

    async def key_holder(self, namespace: str, key: str) -> bytes | None:
        found = await self._ask(read_runs.KEY, plain(namespace), plain(key))
        return found[0][0] if found else None

    async def forks(self, namespace: str, run_id: bytes, limit: int) -> list[bytes]:
        first = fork_prefix(run_id)
        # A semicolon comes right behind the colon that the prefix ends with.
        found = await self._ask(read_runs.FORKS, plain(namespace), first, first[:-1] + ";", self._bounded(limit))
        return [row[0] for row in found]

    async def journal(self, run_id: bytes) -> list[Segment]:
        return list(await self._journals(run_id) or ())

    async def due(
        self, before_us: int, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[tuple[int, bytes]]:
        sql, values = read_runs.due(before_us, max(0, limit), shards, pool)
        return [(row[0], row[1]) for row in await self._ask(sql, *values)]

    async def messages(self, run_id: bytes) -> list[Message]:
        return list(await self._inboxes(run_id) or ())

    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        of = None if source is None else plain(source)
        found = await self._ask(read_intake.EVENT, plain(namespace), plain(event_id), of)
        return rows.event(found[0]) if found else None

    async def events(
        self, namespace: str, type: str | None, after: EventMark | None, limit: int
    ) -> list[tuple[EventMark, Event]]:
        sql, values = read_intake.events(namespace, type, after, self._bounded(limit))
        return [rows.marked_event(row) for row in await self._ask(sql, *values)]

    async def letter(self, letter_id: bytes) -> DeadLetter | None:
        found = await self._ask(read_intake.LETTER, letter_id)
        return rows.letter(found[0]) if found else None

    async def letters(self, namespace: str, replayed: bool, limit: int, after: bytes | None = None) -> list[DeadLetter]:
        sql, values = read_intake.letters(namespace, replayed, self._bounded(limit), after)
        return [rows.letter(row) for row in await self._ask(sql, *values)]

    async def schedule(self, schedule_id: bytes) -> ScheduleRow | None:
        found = await self._ask(schedules.BY_ID, schedule_id)
        return rows.schedule(found[0]) if found else None

    async def schedule_named(self, namespace: str, name: str) -> ScheduleRow | None:
        found = await self._ask(schedules.BY_NAME, plain(namespace), plain(name))
        return rows.schedule(found[0]) if found else None

    async def schedules(self, namespace: str, after: str, limit: int, origin: str | None = None) -> list[ScheduleRow]:
        values = (plain(namespace), plain(after), self._bounded(limit), origin)
        return [rows.schedule(row) for row in await self._ask(schedules.PAGE, *values)]

    async def count_schedules(self, namespace: str) -> int:
        return int((await self._ask(schedules.COUNT, plain(namespace)))[0][0])

    async def schedules_due(
        self, after: tuple[int, bytes], before_us: int, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        values = (*after, before_us, self._bounded(limit), None if shards is None else sorted(shards))
        return [rows.schedule(row) for row in await self._ask(schedules.DUE, *values)]

    async def schedules_under_others(
        self, rules: str, after: bytes, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        values = (rules, after, self._bounded(limit), None if shards is None else sorted(shards))
        return [rows.schedule(row) for row in await self._ask(schedules.UNDER_OTHERS, *values)]

    async def queue_keys(self, queue: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
        level, key = after or (-1, "")
        found = await self._ask(queues.KEYS, plain(queue), level, plain(key), self._bounded(limit))
        return [(row[0], row[1]) for row in found]

    async def queue_heads(self, queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
        levels, names = [level for level, _ in keys], [plain(key) for _, key in keys]
        return [rows.item(row) for row in await self._ask(queues.HEADS, plain(queue), levels, names, limit)]

    async def queue_running(self, queue: str) -> list[Item]:
        return [rows.item(row) for row in await self._ask(queues.RUNNING, plain(queue))]

    async def queue_item(self, run_id: bytes) -> Item | None:
        found = await self._ask(queues.BY_ID, run_id)
        return rows.item(found[0]) if found else None

    async def queue_counts(self) -> list[Counted]:
        return [Counted(*row) for row in await self._ask(queues.COUNTS)]

    async def queue_states(self) -> list[QueueState]:
        return [QueueState(*row) for row in await self._ask(queues.STATES)]

    async def chains(self) -> list[str]:
        return [row[0] for row in await self._ask(read_evidence.CHAINS)]

    async def _chain(self, chain: str) -> str | None:
        if chain:
            return chain
        there = await self.chains()
        if len(there) > 1:
            raise StoreError(f"There are {len(there)} chains.", cure="Name one: see chains().")
        return there[0] if there else None

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        name = await self._chain(chain)
        if name is None:
            return []
        return [rows.seal(row) for row in await self._ask(read_evidence.SEALS, name, first_n, self._bounded(limit))]

    async def head(self, chain: str = "") -> Seal | None:
        name = await self._chain(chain)
        found = [] if name is None else await self._ask(read_evidence.HEAD, name)
        return rows.seal(found[0]) if found else None

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        """In the order of the commits and, within one, of its leaves. A row that retention dropped is left out."""
        name = await self._chain(chain)
        if name is None:
            return []
        spans = await self._ask(read_evidence.SPANS, name, first_n, last_n)
        run_ids, seqs = read_evidence.places([row[0] for row in spans])
        return [Segment(*row) for row in await self._ask(read_evidence.ROWS_AT, run_ids, seqs)]

    async def principal(self, token_digest: bytes) -> Principal | None:
        found = await self._ask(read_evidence.PRINCIPAL, token_digest)
        return rows.principal(found[0]) if found else None

    async def principals(self) -> list[Principal]:
        return [rows.principal(row) for row in await self._ask(read_evidence.PRINCIPALS)]

    async def add_principal(self, principal: Principal, token_digest: bytes) -> None:
        """Raises ``Conflict`` when the token is another principal's."""
        await self._put_principal(read_evidence.ADD_PRINCIPAL, principal, token_digest)

    async def found_principal(self, principal: Principal, token_digest: bytes) -> bool:
        """Likewise."""
        await self._put_principal(read_evidence.FOUND_PRINCIPAL, principal, token_digest)
        # Asked, not counted: the statement may have been sent a second time.
        return await self.principal(token_digest) is not None

    async def drop_principal(self, principal_id: str) -> None:
        await self._ask(read_evidence.DROP_PRINCIPAL, plain(principal_id))

    async def _put_principal(self, sql: str, principal: Principal, token_digest: bytes) -> None:
        try:
            await self._ask(sql, *rows.principal_values(principal, token_digest))
        except StoreError as error:
            if error.__cause__ is None or not is_unique_violation(error.__cause__):
                raise
            raise Conflict("The token already belongs to another principal.", cure="Make a new token.") from error

    async def namespaces(self) -> list[NamespaceRow]:
        return [rows.namespace(tuple(row)) for row in await self._ask(namespaces.PAGE)]

    async def namespace_usage(self, name: str) -> Usage:
        name, now_us = plain(name), self._clock.now_us()
        found = await self._ask(namespaces.COUNT, name)
        if found and found[0][1] is None and found[0][10]:
            await self._ask(namespaces.RECOUNT_NOW, name, now_us, False, True)
            found = await self._ask(namespaces.COUNT, name)
        return namespaces.usage(found, now_us)

    async def put_namespace(self, row: NamespaceRow, expect: int | None) -> bool:
        values = rows.namespace_values(row)
        if expect is None:
            await self._ask(namespaces.PUT_IN, *values)
        else:
            await self._ask(namespaces.CHANGE, *values, expect)
        self.changed(Topic.NAMESPACES)
        # Asked, not counted: the statement may have been sent a second time.
        return row in await self.namespaces()

    async def recount_namespaces(self, names: list[str]) -> None:
        await self._ask(namespaces.RECOUNT, [plain(name) for name in names])

    async def add_namespace_key(self, key: NamespaceKey) -> None:
        values = [plain(value) if isinstance(value, str) else value for value in rows.namespace_key_values(key)]
        try:
            await self._ask(namespace_keys.ADD, *values)
        except StoreError as error:
            if error.__cause__ is None or not is_unique_violation(error.__cause__):
                raise
            raise Conflict(
                f"namespace {key.namespace!r} has a key of version {key.version}.", cure="Somebody made it: look again."
            ) from error

    async def rewrap_namespace_key(self, key_id: bytes, root_kid: str, wrapped: bytes) -> None:
        await self._ask(namespace_keys.REWRAP, key_id, root_kid, wrapped)

    async def erase_namespace_keys(self, namespace: str, at_us: int, by: str, why: str) -> int:
        """The dead rows are vacuumed; what the server's own log and its backups hold is theirs to forget."""
        gone = await self._ask(namespace_keys.ERASE, plain(namespace), at_us, plain(by), plain(why))
        await self._ask(namespace_keys.WIPE)
        return len(gone)

    async def namespace_keys(self, after: int, limit: int) -> NamespaceKeyPage:
        return namespace_keys.page(await self._ask(namespace_keys.PAGE, after, self._bounded(limit)))

    async def revoke(self, entry: Revocation) -> Revocation:
        values = revocations.values(entry)
        await self._ask(revocations.ADD, *values)
        return rows.revocation(tuple((await self._ask(revocations.FIND, *values[:2]))[0]))

    async def cursor(self, name: str) -> int:
        found = await self._ask("SELECT n FROM cursor_at WHERE name = $1", plain(name))
        return int(found[0][0]) if found else 0

    async def move_cursor(self, name: str, to: int) -> None:
        await self._ask(
            "INSERT INTO cursor_at (name, n) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET n = greatest(cursor_at.n, excluded.n)",
            plain(name),
            to,
        )

    async def payload_space(self) -> str:
        return str((await self._ask(payloads.SPACE))[0][0])

    async def any_payloads(self) -> bool:
        return bool((await self._ask(payloads.ANY))[0][0])

    async def payloads_used(self, names: list[bytes]) -> set[bytes]:
        return {row[0] for row in await self._ask(payloads.USED, names)}

    async def staged(self, key: str) -> StagedObject | None:
        found = await self._ask(staging.FIND, key)
        return StagedObject(*found[0]) if found else None

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        return [StagedObject(*row) for row in await self._ask(staging.BEFORE, before_us, limit)]

    async def unstage(self, moved: list[StagedObject]) -> None:
        await self._ask(staging.MOVED, *staging.moved(moved))

    async def forget_payloads(self, names: list[bytes]) -> None:
        await self._ask(payloads.FORGET, names)

    async def revocations(self, after: int, limit: int) -> RevocationPage:
        return revocations.page(await self._ask(revocations.PAGE, after, self._bounded(limit)))

    async def announce(self, node: str, versions_: dict[str, str], current: str, at_us: int) -> dict[str, str]:
        found = await self._ask(versions.ANNOUNCE, node, list(versions_), list(versions_.values()), current, at_us)
        if not found and node == self.node:
            await self.on_announced(versions_)
        return {row[0]: row[1] for row in found}

    async def version_nodes(self) -> list[NodeVersion]:
        return [NodeVersion(*row) for row in await self._ask(versions.NODES)]

    async def known_versions(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self._ask(versions.KNOWN)}

    async def count_versions(self, namespace: str | None) -> list[OpenRuns]:
        values = None if namespace is None else plain(namespace)
        return [OpenRuns(*row) for row in await self._ask(versions.COUNT, values)]

    async def limit_states(self, kind: str, names: Sequence[str] | None = None) -> StatesRead:
        return limit_states.states(await self._ask(limit_states.READ, kind, None if names is None else list(names)))

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        found = await self._ask(limit_states.SWAP, *limit_states.columns(states))
        if any(state.kind == CLOSED for state in states):
            self.changed(Topic.CLOSED)
        return limit_states.states(found)

    async def swap_endpoint(self, endpoint: Endpoint) -> bool:
        swapped = bool(await self._ask(endpoints.SWAP, *rows.endpoint_values(endpoint)))
        self.changed(Topic.ENDPOINTS)
        return swapped

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        found = await self._ask(endpoints.FIND, plain(endpoint_id))
        return rows.endpoint(found[0][0]) if found else None

    async def endpoints(self, after: int, limit: int) -> EndpointPage:
        return endpoints.page(await self._ask(endpoints.PAGE, after, self._bounded(limit)), after)


def _nobody(_: Topic) -> None:
    """Nobody wants to know."""


async def _no_listener(versions_: Iterable[str]) -> None:
    """Nobody owns anything by them."""
    del versions_
