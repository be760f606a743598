"""The journal's partitions: one a week, by the time that run ids begin with, made ahead and dropped whole."""

from __future__ import annotations

from rco.kit.clock import iso, parse_iso
from rco.store.postgres.connection import Line, Row, state_of

__all__ = ["drop_partitions", "keep_ahead", "week_name"]

_WEEK_MS = 7 * 86_400_000
# The week of the epoch began on a Thursday; ours begin on Mondays.
_MONDAY_MS = 4 * 86_400_000
_LIST = (
    "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'journal'::regclass ORDER BY c.relname"
)
_OPEN_IN = "SELECT EXISTS (SELECT 1 FROM run WHERE run_id >= $1 AND run_id < $2)"


def _week(at_us: int, ahead: int) -> tuple[str, bytes, bytes]:
    """Name and bounds of the week of a time."""
    number = (at_us // 1000 - _MONDAY_MS) // _WEEK_MS + ahead
    first_ms = number * _WEEK_MS + _MONDAY_MS
    name = "journal_" + iso(first_ms * 1000)[:10].replace("-", "_")
    return name, first_ms.to_bytes(6, "big"), (first_ms + _WEEK_MS).to_bytes(6, "big")


def week_name(at_us: int, ahead: int = 0) -> str:
    """The partition of the week of a time, or of one ``ahead`` of it."""
    return _week(at_us, ahead)[0]


async def keep_ahead(line: Line, now_us: int) -> list[str]:
    """Make the partitions of this week and the next; returns those made, none on a second call.

    A week that already has rows in the partition for the rest stays there.
    """
    there = {row[0] for row in await line.fetch(_LIST)}
    made = []
    for ahead in (0, 1):
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


async def drop_partitions(line: Line, before_us: int) -> tuple[list[str], list[str]]:
    """Drop the partitions that end before a time; returns the dropped, and those kept because runs in them are open.

    What was dropped is gone: the evidence chain still proves what it held, to who has an export of it.
    """
    dropped: list[str] = []
    kept: list[str] = []
    rows: list[Row] = await line.fetch(_LIST)
    newest, _, _ = _week(before_us, 0)
    for (name,) in rows:
        if name == "journal_rest" or name >= newest:
            continue
        first, end = _bounds(name)
        if (await line.fetch(_OPEN_IN, first, end))[0][0]:
            kept.append(name)
            continue
        await line.fetch(f"DROP TABLE {name}")
        dropped.append(name)
    return dropped, kept


def _bounds(name: str) -> tuple[bytes, bytes]:
    first_ms = parse_iso(name.removeprefix("journal_").replace("_", "-") + "T00:00:00Z") // 1000
    return first_ms.to_bytes(6, "big"), (first_ms + _WEEK_MS).to_bytes(6, "big")
