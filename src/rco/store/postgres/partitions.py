"""The journal's partitions: one a week, by the time that run ids begin with, made ahead and dropped whole."""

from __future__ import annotations

from rco.kit.clock import iso, parse_iso
from rco.store.postgres.connection import Connection, Line, state_of

__all__ = ["bounds_of", "keep_ahead", "week_name", "weeks_before"]

_WEEK_MS = 7 * 86_400_000
# The week of the epoch began on a Thursday; ours begin on Mondays.
_MONDAY_MS = 4 * 86_400_000
_LIST = (
    "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'journal'::regclass ORDER BY c.relname"
)


def _week(at_us: int, ahead: int) -> tuple[str, bytes, bytes]:
    """Name and bounds of the week of a time."""
    number = (at_us // 1000 - _MONDAY_MS) // _WEEK_MS + ahead
    first_ms = number * _WEEK_MS + _MONDAY_MS
    name = "journal_" + iso(first_ms * 1000)[:10].replace("-", "_")
    return name, first_ms.to_bytes(6, "big"), (first_ms + _WEEK_MS).to_bytes(6, "big")


def week_name(at_us: int, ahead: int = 0) -> str:
    """The partition of the week of a time, or of one ``ahead`` of it."""
    return _week(at_us, ahead)[0]


async def keep_ahead(line: Line, now_us: int, weeks: int = 2) -> list[str]:
    """Make the partitions of this week and the next (``weeks=1``: of this week alone); returns those made, none on a
    second call.

    A week that already has rows in the partition for the rest stays there.
    """
    there = {row[0] for row in await line.fetch(_LIST)}
    made = []
    for ahead in range(weeks):
        name, first, end = _week(now_us, ahead)
        if name in there:
            continue
        text = (
            f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF journal"
            f" FOR VALUES FROM ('\\x{first.hex()}') TO ('\\x{end.hex()}')"
        )
        try:
            await line.fetch(text)
            made.append(name)
        except Exception as error:
            # Rows in the rest, another node was faster, or this role may not make tables: the rest takes what comes.
            if state_of(error) not in {"23514", "42P07", "42P17", "40P01", "55P03", "23505", "42501"}:
                raise
    return made


async def weeks_before(connection: Connection, before_us: int) -> list[str]:
    """Names of the partitions that end before a time, oldest first. What lies in the one for the rest is not among
    them."""
    newest = week_name(before_us)
    return [row[0] for row in await connection.fetch(_LIST) if row[0] != "journal_rest" and row[0] < newest]


def bounds_of(name: str) -> tuple[bytes, bytes]:
    """First and end of a week's run ids: milliseconds since 1970 in 6 bytes."""
    first_ms = parse_iso(name.removeprefix("journal_").replace("_", "-") + "T00:00:00Z") // 1000
    return first_ms.to_bytes(6, "big"), (first_ms + _WEEK_MS).to_bytes(6, "big")
