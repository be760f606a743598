"""Looking up, in bulk, what the admissions of a batch depend on."""

from __future__ import annotations

from rco.store.contract.changes import Changes
from rco.store.judge import Held, asked_claims, asked_keys, asked_runs, asked_schedules
from rco.store.postgres import namespaces, schedules
from rco.store.postgres.connection import Connection, fetch
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.text import plain
from rco.store.quota import asked_spaces

__all__ = ["look_up", "may_hope"]

# One round trip for all three questions.
_LOOK = """
SELECT 1, c.digest, c.corr_id, NULL, NULL, NULL::bytea FROM claim AS c
    WHERE c.digest = ANY ($1::bytea[]) AND c.expires_us > $5::bigint
UNION ALL
SELECT 2, NULL, k.namespace, k.key, k.request, k.run_id FROM unnest($2::text[], $3::text[]) AS a(n, k)
    CROSS JOIN LATERAL (SELECT * FROM start_key WHERE namespace = a.n AND key = a.k OFFSET 0) AS k
UNION ALL
SELECT 3, r.run_id, NULL, NULL, NULL, NULL FROM run AS r WHERE r.run_id = ANY ($4::bytea[])
"""


def may_hope(changes: Changes, watched: frozenset[str]) -> bool:
    """Whether all that can stand in the way of the admissions of ``changes`` are claims and start keys that were given
    before. They seldom were, and the flush finds out by itself; what must be open, or have room, has to be known."""
    if any(admission.messages or admission.schedules for admission in changes.admissions):
        return False
    return not watched or not asked_spaces(changes, watched)


async def look_up(
    connection: Connection, options: PostgresOptions, changes: Changes, now_us: int, watched: frozenset[str]
) -> Held:
    """What the admissions of ``changes`` will meet, as of this moment; the flush finds out whether it still stands."""
    held = Held({}, {}, set())
    claims, keys, runs = asked_claims(changes), asked_keys(changes), asked_runs(changes)
    if claims or keys or runs:
        values = (claims, [plain(key.namespace) for key in keys], [plain(key.key) for key in keys], list(runs), now_us)
        for kind, one, two, three, four, five in await fetch(connection, options, _LOOK, values):
            if kind == 1:
                held.claims[one] = two
            elif kind == 2:
                held.keys[two, three] = (four, five)
            else:
                held.open_runs.add(one)
    if runs:
        held.open_runs.update(row.run_id for row in changes.opened)
        held.open_runs.difference_update(ended.run_id for ended in changes.ended)
    writes = asked_schedules(changes)
    if writes:
        held.schedules = await schedules.look_up(connection, options, writes)
    spaces = asked_spaces(changes, watched) if watched else None
    if spaces:
        held.spaces = await namespaces.look_up(connection, options, spaces, now_us)
    return held
