"""Small objects that came with a commit."""

from __future__ import annotations

from typing import Any

from rco.model.staged import StagedObject

__all__ = ["BEFORE", "COUNT", "FIND", "MOVED", "columns", "moved"]

FIND = "SELECT key, put_us, data FROM staged_object WHERE key = $1"
COUNT = "SELECT count(*), coalesce(min(put_us), 0) FROM staged_object WHERE put_us < $1"
BEFORE = "SELECT key, put_us, data FROM staged_object WHERE put_us < $1 ORDER BY put_us LIMIT $2"
# Rows are locked in the order of their keys, here and in rco_stage: two never wait for each other.
MOVED = (
    "WITH gone AS (SELECT s.key FROM staged_object AS s"
    " JOIN unnest($1::text[], $2::bigint[]) AS m(key, put_us) ON s.key = m.key AND s.put_us = m.put_us"
    " ORDER BY s.key FOR UPDATE OF s)"
    " DELETE FROM staged_object AS s USING gone WHERE s.key = gone.key"
)


def columns(staged: list[StagedObject]) -> tuple[list[Any], ...]:
    """``staged`` in the order of ``rco_stage``; of one key the last."""
    last = {one.key: one for one in staged}.values()
    return [one.key for one in last], [one.put_us for one in last], [one.data for one in last]


def moved(staged: list[StagedObject]) -> tuple[list[str], list[int]]:
    """``staged`` as ``MOVED`` is asked."""
    return [one.key for one in staged], [one.put_us for one in staged]
