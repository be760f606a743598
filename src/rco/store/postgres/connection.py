"""The one door to PostgreSQL: opening connections, and telling trouble that passes from trouble that stays."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
import msgspec

from rco.errors import SchemaOutdated, StoreError
from rco.kit.clock import Clock
from rco.store.address import server_of
from rco.store.postgres.known_types import KnowingConnection
from rco.store.postgres.options import PostgresOptions

__all__ = [
    "Connection",
    "Line",
    "Outage",
    "Pool",
    "Row",
    "answering_within",
    "connect",
    "is_passing",
    "is_unique_violation",
    "open_pool",
    "state_of",
]

Connection = Any
"""An asyncpg connection. Its own types are too wide to be of use here."""
Row = Any
Pool = Any
T = TypeVar("T")

# Connection trouble, roll-backs that ask for a repeat, resources, shut-downs and fail-overs
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_PASSING_CLASSES = frozenset({"08", "40", "53", "58"})
_PASSING = frozenset({"57P01", "57P02", "57P03", "57P05", "57014", "55P03", "25006", "26000"})
_KEEPS_CONNECTION = frozenset({"40001", "40P01", "55P03"})
_COMES_OR_GOES = frozenset({"57P01", "57P02", "57P03"})
_LONG_S = 1.0
"""An attempt that took longer has waited for a server, not met a connection that was gone."""


def state_of(error: BaseException) -> str:
    """The SQLSTATE of an error of the server, else ``""``."""
    return str(getattr(error, "sqlstate", None) or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed later, perhaps on another connection."""
    if isinstance(error, asyncpg.PostgresError):
        state = state_of(error)
        return state[:2] in _PASSING_CLASSES or state in _PASSING
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "in progress" in str(error)
    return isinstance(error, (OSError, TimeoutError, asyncpg.InternalClientError))


def _is_away(error: BaseException) -> bool:
    """Whether the server could not be reached, or said that it comes or goes."""
    if isinstance(error, asyncpg.PostgresError):
        return state_of(error) in _COMES_OR_GOES
    return is_passing(error)


def is_unique_violation(error: BaseException) -> bool:
    """Whether a unique index refused the row."""
    return state_of(error) == "23505"


def _settings(options: PostgresOptions) -> dict[str, Any]:
    return {
        "connection_class": KnowingConnection,
        "timeout": options.connect_timeout_s,
        "command_timeout": options.answer_timeout_s,
        # Behind a transaction pooler the next statement may meet another server, which never saw it prepared.
        "statement_cache_size": 0 if options.pooler else 256,
    }


def answering_within(options: PostgresOptions, limit_s: float) -> PostgresOptions:
    """The same, with a connection taken for lost after ``limit_s`` without an answer, or earlier."""
    return msgspec.structs.replace(
        options,
        answer_timeout_s=min(options.answer_timeout_s, limit_s),
        connect_timeout_s=min(options.connect_timeout_s, limit_s),
    )


async def connect(dsn: str, options: PostgresOptions) -> Connection:
    """One connection. Raises what ``is_passing`` judges; trouble on the way to the server names it."""
    try:
        return await asyncpg.connect(dsn, **_settings(options))
    except OSError as error:
        why = str(error) or f"no answer within {options.connect_timeout_s:g} s"
        raise ConnectionError(f"{server_of(dsn)}: {why}") from error


async def open_pool(dsn: str, options: PostgresOptions) -> Pool:
    """Connections for reading, opened as they are needed."""

    async def nothing(_: Connection) -> None:
        """Every read is one statement: there is nothing to reset, and a round trip saved."""

    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=options.readers,
        reset=nothing,
        max_inactive_connection_lifetime=60.0,
        **_settings(options),
    )


class Line:
    """One connection that comes back after trouble. One user at a time; others wait.

    ``prepare`` is called with each new connection before its first use.
    """

    def __init__(
        self,
        dsn: str,
        options: PostgresOptions,
        prepare: Callable[[Connection], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._dsn, self._options, self._prepare = dsn, options, prepare
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def open(self) -> Connection:
        """The connection, made when there is none. Raises what ``is_passing`` judges."""
        if self._closed:
            raise StoreError("The connection was closed.", cure="Start the service again.")
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await connect(self._dsn, self._options)
            try:
                if self._prepare is not None:
                    await self._prepare(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return connection

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        """The rows of one statement. After an error of the connection the next call opens another."""
        async with self._turn:
            connection = await self.open()
            try:
                return await fetch(connection, self._options, sql, values)
            except BaseException as error:
                self.broke(error)
                raise

    def broke(self, error: BaseException) -> None:
        """Let go of the connection unless ``error`` left it whole."""
        whole = isinstance(error, asyncpg.PostgresError) and (
            not is_passing(error) or state_of(error) in _KEEPS_CONNECTION
        )
        if not whole and self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Idempotent."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1.0)
            except Exception:  # noqa: BLE001 - it is to be gone, however
                connection.terminate()


async def fetch(connection: Connection, options: PostgresOptions, sql: str, values: tuple[Any, ...]) -> list[Row]:
    """The rows of one statement, which is its own transaction."""
    if not options.pooler:
        found: list[Row] = await connection.fetch(sql, *values)
        return found
    # Preparing and executing are two exchanges; only within a transaction do they meet the same server.
    # Its end, too, is an exchange that a silent connection never answers.
    async with asyncio.timeout(2 * options.answer_timeout_s), connection.transaction():
        return list(await connection.fetch(sql, *values))


class Outage:
    """What is known of a server by all who ask it: who comes into an outage that has outlasted everybody's patience is
    told so, and does not find it out once more."""

    __slots__ = ("_first_s", "_last_s", "_patience_s")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._first_s = self._last_s = -math.inf

    def failed(self, began_s: float, now_s: float) -> bool:
        """An attempt from ``began_s`` until now could not reach it. Whether that has been so for too long."""
        if began_s - self._last_s > self._patience_s:
            self._first_s = began_s
        self._last_s = now_s
        return now_s - self._first_s > self._patience_s

    def answered(self) -> None:
        """It is there."""
        self._last_s = -math.inf


async def patiently(
    work: Callable[[], Coroutine[Any, Any, T]],
    clock: Clock,
    options: PostgresOptions,
    patience_s: float,
    outage: Outage | None = None,
) -> T:
    """What ``work`` gives, tried again while its trouble passes, for ``patience_s``. In an ``outage`` that has lasted
    for so long it is tried twice, or once where that took a second. Raises ``StoreError``."""
    attempt, began = 0, clock.monotonic()
    while True:
        tried_s = clock.monotonic()
        try:
            found = await work()
        except Exception as error:
            if isinstance(error, (SchemaOutdated, StoreError)):
                raise
            attempt += 1
            now_s = clock.monotonic()
            known = outage is not None and _is_away(error) and outage.failed(tried_s, now_s)
            # The first attempt may have met a connection that an outage before had cut.
            if known and (attempt > 1 or now_s - tried_s > _LONG_S):
                patience_s = -1.0
            if not is_passing(error) or now_s - began > patience_s:
                away = isinstance(error, OSError)
                what = f"cannot be reached: {error}" if away else f"could not do it: {type(error).__name__}: {error}"
                raise StoreError(f"PostgreSQL {what}.", cure="Look at the server, its log and the dsn.") from error
            await asyncio.sleep(options.backoff.delay_s(attempt, lambda: 0.0))
        else:
            if outage is not None:
                outage.answered()
            return found
