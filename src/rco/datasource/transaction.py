"""What a transactional step's function is given: the transaction, without the words that would end it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rco.errors import Misuse

__all__ = ["Transaction"]

_ENDS = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(COMMIT|END|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)|ABORT|BEGIN|START\s+"
    r"TRANSACTION|PREPARE\s+TRANSACTION)\b",
    re.IGNORECASE | re.DOTALL,
)


class Transaction:
    """One transaction of the user's database, as long as the step's function runs.

    Queries are asyncpg's: ``$1``, ``$2`` stand for values. It commits when the function returns and rolls back when it
    raises; ``COMMIT`` and its like raise ``Misuse``, and so does any use afterwards.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection: Any = connection

    def _open(self, query: str = "") -> Any:
        if self._connection is None:
            raise Misuse(
                "a transaction was used after its step's function had returned.",
                cure="Await everything inside the function, and keep nothing of the transaction.",
            )
        ends = _ENDS.match(query)
        if ends is not None:
            raise Misuse(
                f"a step's function may not say {ends[1].upper()}: what it wrote and its result commit together.",
                cure="Return to commit, raise to roll back; for a part of it use: async with tx.savepoint().",
            )
        return self._connection

    def close(self) -> None:
        """No use from here on."""
        self._connection = None

    async def execute(self, query: str, *values: Any) -> str:
        """Run a statement and give its tag, e.g. ``INSERT 0 1``."""
        tag: str = await self._open(query).execute(query, *values)
        return tag

    async def executemany(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of ``rows``."""
        await self._open(query).executemany(query, rows)

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """All rows."""
        return list(await self._open(query).fetch(query, *values))

    async def fetchrow(self, query: str, *values: Any) -> Any:
        """The first row, or ``None``."""
        return await self._open(query).fetchrow(query, *values)

    async def fetchval(self, query: str, *values: Any, column: int = 0) -> Any:
        """One value of the first row, or ``None``."""
        return await self._open(query).fetchval(query, *values, column=column)

    def cursor(self, query: str, *values: Any) -> Any:
        """Rows one after the other: ``async for row in tx.cursor(...)``."""
        return self._open(query).cursor(query, *values)

    async def copy_records_to_table(self, table: str, *, records: Iterable[Sequence[Any]], **more: Any) -> str:
        """Many rows at once, by COPY."""
        tag: str = await self._open().copy_records_to_table(table, records=records, **more)
        return tag

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that is rolled back alone when it raises."""
        async with self._open().transaction():
            yield
