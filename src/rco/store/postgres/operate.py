"""What an operator does to a PostgreSQL store from the shell, each one transaction that leaves a record in the chain of
operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rco.errors import Conflict, NotFound, RcoError, StoreError
from rco.model.decision import Decision, Verb
from rco.store.contract.writer import Sealer
from rco.store.postgres import migrate
from rco.store.postgres.connection import Connection, connect, state_of
from rco.store.postgres.options import PostgresOptions

__all__ = ["CHAIN", "accept_rewinds", "drain_node", "seal_by_hand", "with_connection"]

CHAIN = "operator/0"
"""The chain of what is done by hand: no node writes to it."""
_DRAIN = "UPDATE node SET draining = true WHERE name = $1 AND alive_until > clock_timestamp()"
_NAMES = "SELECT name FROM node WHERE alive_until > clock_timestamp() ORDER BY name"
_LOCK = "SELECT pg_advisory_xact_lock(7305, hashtext($1))"
_HEAD = "SELECT n, hash FROM seal WHERE chain = $1 ORDER BY n DESC LIMIT 1"
_SEAL = (
    "INSERT INTO seal (chain, n, writer, epoch, at_us, prev, hash, leaves, places, decisions)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, '', '', $8)"
)
_ACCEPT = (
    "UPDATE rewind SET accepted_us = $1, accepted_by = $2, reason = $3 WHERE accepted_us IS NULL"
    " AND ($4::text IS NULL OR chain = $4) RETURNING chain, known_n, found_n, shards"
)
T = TypeVar("T")


async def with_connection(dsn: str, options: PostgresOptions, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What ``work`` gives on a connection to a database with this release's schema. Raises ``StoreError``."""
    try:
        connection = await connect(dsn, options)
    except Exception as error:
        raise StoreError(f"PostgreSQL cannot be reached: {error}.", cure="Look at the dsn and the server.") from error
    try:
        await migrate.check_schema(connection)
        return await work(connection)
    except RcoError:
        raise
    except Exception as error:
        raise StoreError(f"PostgreSQL refused: {state_of(error)} {error}.") from error
    finally:
        await connection.close()


async def drain_node(dsn: str, options: PostgresOptions, node: str) -> None:
    """Let the node hand its shards over. A second call changes nothing. Raises ``NotFound`` when it does not live."""

    async def work(connection: Connection) -> None:
        if await connection.execute(_DRAIN, node) == "UPDATE 0":
            names = ", ".join(row[0] for row in await connection.fetch(_NAMES)) or "none"
            raise NotFound(f"no node {node} lives.", cure=f"Those that live: {names}.")

    await with_connection(dsn, options, work)


async def seal_by_hand(connection: Connection, sealer: Sealer, decision: Decision) -> None:
    """Add ``decision`` as the next link of the operators' chain, within the transaction that is open."""
    await connection.execute(_LOCK, CHAIN)
    head = await connection.fetchrow(_HEAD, CHAIN)
    n, prev = (head[0] + 1, head[1]) if head is not None else (1, bytes(32))
    seal = sealer.seal(writer=CHAIN, n=n, epoch=1, at_us=decision.at_us, prev=prev, leaves=b"", decisions=[decision])
    await connection.execute(
        _SEAL, CHAIN, seal.n, seal.writer, seal.epoch, seal.at_us, seal.prev, seal.hash, seal.decisions
    )


async def accept_rewinds(
    dsn: str, options: PostgresOptions, sealer: Sealer, *, actor: str, reason: str, at_us: int, chain: str | None = None
) -> list[str]:
    """Accept that commits are lost, of ``chain`` or of all: their shards are taken over again. Returns the chains.

    Who and why stands in the operators' chain. Raises ``Conflict`` when there is nothing to accept.
    """

    async def work(connection: Connection) -> list[str]:
        async with connection.transaction():
            rows = await connection.fetch(_ACCEPT, at_us, actor, reason, chain)
            for name, known_n, found_n, shards in rows:
                facts: dict[str, str | int | bool] = {
                    "known": known_n,
                    "found": found_n,
                    "shards": " ".join(map(str, shards)),
                    "why": reason,
                }
                await seal_by_hand(
                    connection,
                    sealer,
                    Decision(
                        verb=Verb.RECONCILE,
                        at_us=at_us,
                        actor=actor,
                        subject=name,
                        reason="rewind accepted",
                        facts=facts,
                    ),
                )
        if not rows:
            raise Conflict("no lost commits wait to be accepted.", cure="rco doctor says how the store is.")
        return [row[0] for row in rows]

    return await with_connection(dsn, options, work)
