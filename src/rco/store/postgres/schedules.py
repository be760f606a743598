"""Reading and writing schedules."""

from __future__ import annotations

from typing import Any

from rco.store import rows
from rco.store.contract.schedules import ScheduleWrite
from rco.store.postgres.connection import Connection, fetch
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.text import plain, plain_all

__all__ = ["BY_ID", "BY_NAME", "COUNT", "DUE", "PAGE", "UNDER_OTHERS", "columns", "look_up"]

_ROWS = f"SELECT {rows.SCHEDULE_COLUMNS} FROM schedule"
BY_ID = f"{_ROWS} WHERE schedule_id = $1"
BY_NAME = f"{_ROWS} WHERE namespace = $1 AND name = $2"
PAGE = f"{_ROWS} WHERE namespace = $1 AND name > $2 AND ($4::text IS NULL OR origin = $4) ORDER BY name LIMIT $3"
COUNT = "SELECT count(*) FROM schedule WHERE namespace = $1"
DUE = (
    f"{_ROWS} WHERE (due_us, schedule_id) > ($1, $2) AND due_us < $3 AND ($5::smallint[] IS NULL OR shard = ANY ($5))"
    " ORDER BY due_us, schedule_id LIMIT $4"
)
UNDER_OTHERS = (
    f"{_ROWS} WHERE schedule_id > $2 AND rules <> $1 AND ($4::smallint[] IS NULL OR shard = ANY ($4))"
    " ORDER BY schedule_id LIMIT $3"
)
_LOOK = """
SELECT schedule_id, namespace, name, revision FROM schedule WHERE schedule_id = ANY ($1::bytea[])
UNION
SELECT s.schedule_id, s.namespace, s.name, s.revision FROM unnest($2::text[], $3::text[]) AS a(n, k)
    CROSS JOIN LATERAL (SELECT * FROM schedule WHERE namespace = a.n AND name = a.k OFFSET 0) AS s
"""


def columns(writes: list[ScheduleWrite]) -> tuple[list[Any], ...]:
    """``writes`` in the order of ``rco_schedules``."""
    return (
        [one.row.schedule_id for one in writes],
        [one.expect for one in writes],
        [one.gone for one in writes],
        plain_all([one.row.namespace for one in writes]),
        plain_all([one.row.name for one in writes]),
        [one.row.origin for one in writes],
        [one.row.revision for one in writes],
        [one.row.due_us for one in writes],
        [one.row.rules for one in writes],
        [one.row.body for one in writes],
        [one.row.payload for one in writes],
    )


async def look_up(
    connection: Connection, options: PostgresOptions, writes: list[ScheduleWrite]
) -> dict[bytes, tuple[str, str, int]]:
    """What stands under the identities of ``writes`` and under the names that they put in."""
    new = [one.row for one in writes if one.expect is None]
    values = (
        [one.row.schedule_id for one in writes],
        [plain(row.namespace) for row in new],
        [plain(row.name) for row in new],
    )
    return {row[0]: (row[1], row[2], row[3]) for row in await fetch(connection, options, _LOOK, values)}
