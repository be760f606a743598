"""Transactional steps: the user's rows and the record of the step's result in one commit of the user's database.

The record is put in first. Its key makes a second attempt, on whichever node, wait for the first and then find it
done; so after a crash between that commit and the journal's, the recorded result is what the step gives, and its
function does not run again. What became of a commit whose answer was lost is found out by the same key before
anything is said of the step.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from rco.datasource import connection as door
from rco.datasource.options import Database, Isolation
from rco.datasource.transaction import Transaction
from rco.errors import CodeChanged, Misuse
from rco.kit.backoff import Backoff
from rco.kit.clock import Clock
from rco.model.effect import Attempt, EffectFailed
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["Datasource"]

_CLAIM = """
INSERT INTO rco.rco_step (run_id, step_key, fingerprint, attempt) VALUES ($1, $2, $3, $4)
ON CONFLICT (run_id, step_key) DO NOTHING RETURNING pg_current_xact_id()::text
"""
_FIND = "SELECT fingerprint, result FROM rco.rco_step WHERE run_id = $1 AND step_key = $2"
_KEEP = """
UPDATE rco.rco_step SET result = $3
WHERE run_id = $1 AND step_key = $2 AND result IS NULL AND pg_current_xact_id()::text = $4
"""
_LIMITS = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)"
_NO_TABLE = frozenset({"42P01", "3F000"})
_ENDED = frozenset({"RC010", "25P01"})
_AGAIN = Backoff(first_s=0.005, cap_s=0.5)
_AWAY = Backoff(first_s=0.1, cap_s=5.0)
_WAITS_S = 60.0
"""A claim that waits for another attempt's transaction is put anew after so long, in case its connection is silent."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Function = Callable[..., Awaitable[Any]]


class _Unknown(Exception):
    """The answer to a commit was lost."""


class _Away(Exception):
    """The database could not be reached, and nothing was committed."""


class Datasource:
    """One database of the user's. ``may_commit`` is asked in the turn that sends a commit: false where this node's
    lease may have run out."""

    def __init__(
        self,
        database: Database,
        dsn: Callable[[], str],
        *,
        clock: Clock,
        metrics: Metrics,
        may_commit: Callable[[], bool],
        value_limit_bytes: int,
    ) -> None:
        self.database = database
        self._dsn, self._clock, self._metrics = dsn, clock, metrics
        self._may_commit, self._limit_bytes = may_commit, value_limit_bytes
        self._pool: door.Pool = None
        self._opening = asyncio.Lock()
        self._closed = False

    # -- life ------------------------------------------------------------------------------------------------------

    async def pool(self) -> door.Pool:
        """Its connections. Raises what connecting does."""
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self._pool = await door.open_pool(self._dsn, self.database)
        return self._pool

    async def connect(self) -> door.Connection:
        """A connection of its own, beside the pool."""
        return await door.connect(self._dsn(), self.database)

    async def stop(self) -> None:
        """Let go of all connections; transactions that are under way are rolled back. Idempotent."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    # -- one step --------------------------------------------------------------------------------------------------

    async def perform(
        self,
        function: Function,
        arguments: tuple[Any, ...],
        fingerprint: bytes,
        isolation: Isolation | None,
        timeout_s: float | None,
        attempt: Attempt,
    ) -> Any:
        """The step's result: its function's, committed now, or the one that was recorded before.

        Raises what the function raises, with all it wrote rolled back; ``EffectFailed`` when the database says no for
        good; ``CodeChanged`` when another function or other arguments are recorded under the step's key.
        """
        asked = _Asked(
            function, arguments, fingerprint, isolation or self.database.isolation,
            self.database.timeout_s if timeout_s is None else timeout_s, attempt,
        )  # fmt: skip
        rolled_back = away = 0
        since = self._clock.monotonic()
        while True:
            try:
                value = await self._once(asked)
            except _Unknown as lost:
                value = await self._resolved(asked)
                if value is _NOTHING:
                    raise EffectFailed(f"the connection broke at the commit, which did not stand: {lost}",
                                       kind="ConnectionLost") from lost  # fmt: skip
                return value
            except _Away as problem:
                away += 1
                self._count("away")
                if self._clock.monotonic() - since > self.database.patience_s:
                    raise EffectFailed(f"database {self.database.name!r} is away: {problem}", kind="Away") from problem
                await asyncio.sleep(_AWAY.delay_s(away, random.random))
            except Exception as problem:
                if not door.is_rolled_back(problem) or rolled_back >= self.database.serialization_retries:
                    self._count("failed")
                    self._judge(problem)
                    raise
                rolled_back += 1
                self._count("rolled_back")
                await asyncio.sleep(_AGAIN.delay_s(rolled_back, random.random))
            else:
                return value

    async def _once(self, asked: _Asked) -> Any:
        began = self._clock.monotonic()
        connection = await self._connection()
        try:
            transaction = connection.transaction(isolation=asked.isolation)
            try:
                await transaction.start()
                await connection.execute(_LIMITS, f"{int(self.database.idle_timeout_s * 1000)}ms")
                mark = await connection.fetchval(_CLAIM, *asked.claim, timeout=_WAITS_S)
                found = None if mark is not None else await connection.fetchrow(_FIND, *asked.key)
            except Exception as problem:
                await self._back(transaction)
                if door.is_passing(problem) and not door.is_rolled_back(problem):
                    raise _Away(str(problem) or type(problem).__name__) from problem
                raise
            if mark is None:
                await self._back(transaction)
                if found is None:
                    # Its transaction was rolled back between the two looks, or it was removed: claim again.
                    raise _Away("the other attempt's transaction ended without a result")
                self._count("found")
                return self._recorded(asked, found)
            value, packed = await self._function(connection, transaction, asked)
            if not await self._keep(connection, transaction, asked, packed, mark):
                await self._back(transaction)
                raise Misuse("the step's function ended its transaction by itself.", cure=_CURE)
            if not self._may_commit():
                await self._back(transaction)
                raise _Away("this node's lease may have run out; nothing was committed")
            await self._commit(transaction)
            self._count("committed")
            self._metrics.histogram(signals.TRANSACTION_LATENCY, database=self.database.name).observe(
                self._clock.monotonic() - began
            )
            return value
        finally:
            await self._give_back(connection)

    async def _connection(self) -> door.Connection:
        try:
            pool = await self.pool()
            return await pool.acquire()
        except Exception as problem:
            if door.is_passing(problem) and not self._closed:
                raise _Away(str(problem) or type(problem).__name__) from problem
            raise EffectFailed(
                f"database {self.database.name!r} cannot be used: {problem}", kind=type(problem).__name__
            ) from problem

    async def _function(self, connection: door.Connection, transaction: Any, asked: _Asked) -> tuple[Any, bytes]:
        given = Transaction(connection)
        limit = asyncio.timeout(asked.timeout_s)
        try:
            async with limit:
                value = await asked.function(given, *asked.arguments)
            try:
                packed = _pack(value)
                if len(packed) > self._limit_bytes:
                    raise ValueError(f"it is {len(packed)} bytes, the limit is {self._limit_bytes}")
                return _unpack(packed), packed
            except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
                raise Misuse(
                    f"the result cannot be stored: {problem}.", cure="Return plain data (dict, list, str, numbers)."
                ) from None
        except BaseException as problem:
            if limit.expired() or isinstance(problem, asyncio.CancelledError):
                # It may be in the middle of a statement: closed, it is rolled back whatever that does.
                connection.terminate()
                if not limit.expired():
                    raise
                raise EffectFailed(
                    f"no result within {asked.timeout_s:g} s; it was rolled back", kind="TimeoutError", code="timed_out"
                ) from problem
            await self._back(transaction)
            if isinstance(problem, Exception) and door.is_passing(problem) and connection.is_closed():
                raise _Away(str(problem)) from problem
            raise
        finally:
            given.close()

    async def _keep(
        self, connection: door.Connection, transaction: Any, asked: _Asked, packed: bytes, mark: str
    ) -> bool:
        try:
            tag: str = await connection.execute(_KEEP, *asked.key, packed, mark)
        except Exception as problem:
            await self._back(transaction)
            if door.is_passing(problem) and not door.is_rolled_back(problem):
                raise _Away(str(problem)) from problem
            raise
        return tag == "UPDATE 1"

    async def _commit(self, transaction: Any) -> None:
        try:
            await transaction.commit()
        except Exception as problem:
            if door.is_passing(problem) and not door.is_rolled_back(problem):
                self._count("unknown")
                raise _Unknown(str(problem) or type(problem).__name__) from problem
            # A deferred constraint, a serialization failure: the database's own word that nothing stands.
            raise

    async def _resolved(self, asked: _Asked) -> Any:
        """The recorded result, or ``_NOTHING`` when it is certain that there will be none of that commit."""
        tries = 0
        while True:
            try:
                connection = await self._connection()
                try:
                    transaction = connection.transaction(isolation="read_committed")
                    await transaction.start()
                    # While that transaction may still commit, its key is held and this waits.
                    mark = await connection.fetchval(_CLAIM, *asked.claim, timeout=_WAITS_S)
                    found = None if mark is not None else await connection.fetchrow(_FIND, *asked.key)
                    await self._back(transaction)
                finally:
                    await self._give_back(connection)
            except Exception as problem:
                if self._closed or not (isinstance(problem, _Away) or door.is_passing(problem)):
                    raise
            else:
                if mark is not None:
                    return _NOTHING
                if found is not None:
                    self._count("found")
                    return self._recorded(asked, found)
            tries += 1
            await asyncio.sleep(_AWAY.delay_s(tries, random.random))

    def _recorded(self, asked: _Asked, found: Any) -> Any:
        fingerprint, packed = found
        if fingerprint != asked.fingerprint:
            key, run = asked.attempt.key, asked.key[0]
            raise CodeChanged(
                f"step {key!r} was committed to database {self.database.name!r} by other code or with other arguments.",
                diff={
                    "recorded": {"kind": "rco_step", "key": key, "run": str(run), "fingerprint": fingerprint.hex()},
                    "code": [{"key": key, "asks": "transaction", "fingerprint": asked.fingerprint.hex()}],
                },
            )
        return _unpack(packed)

    # -- the rest --------------------------------------------------------------------------------------------------

    async def _back(self, transaction: Any) -> None:
        with suppress(Exception):
            await transaction.rollback()

    async def _give_back(self, connection: door.Connection) -> None:
        pool = self._pool
        if pool is None:
            connection.terminate()
            return
        try:
            await pool.release(connection, timeout=self.database.connect_timeout_s)
        except Exception:  # noqa: BLE001 - a connection that cannot be reset is closed by the pool
            return

    def _judge(self, problem: Exception) -> None:
        """Say with a cure what an operator has to see to."""
        state = door.state_of(problem)
        if state in _ENDED:
            raise Misuse("the step's function ended its transaction by itself.", cure=_CURE) from problem
        if state in _NO_TABLE and any(name in str(problem) for name in ('"rco"', '"rco.rco_step"')):
            raise EffectFailed(
                f"database {self.database.name!r} has no table rco.rco_step: run rco datasource init.",
                kind="SchemaOutdated",
            ) from problem

    def _count(self, outcome: str) -> None:
        self._metrics.counter(signals.TRANSACTIONS, database=self.database.name, outcome=outcome).add()


_CURE = "Return to commit, raise to roll back; leave COMMIT and ROLLBACK to RCO."
_NOTHING = object()


class _Asked:
    """One attempt."""

    __slots__ = ("arguments", "attempt", "claim", "fingerprint", "function", "isolation", "key", "timeout_s")

    def __init__(
        self,
        function: Function,
        arguments: tuple[Any, ...],
        fingerprint: bytes,
        isolation: Isolation,
        timeout_s: float,
        attempt: Attempt,
    ) -> None:
        self.function, self.arguments, self.fingerprint = function, arguments, fingerprint
        self.isolation, self.timeout_s, self.attempt = isolation, timeout_s, attempt
        self.key = (uuid.UUID(bytes=attempt.run_id), attempt.key)
        self.claim = (*self.key, fingerprint, attempt.number)
