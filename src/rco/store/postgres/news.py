"""The numbers by which a look sees whether something has changed: each grows with every change of its topic."""

from __future__ import annotations

from typing import Any

from rco.store.contract.limit_states import CLOSED
from rco.store.contract.news import Topic

__all__ = ["NUMBERS", "numbers"]

_NUMBERS = {
    Topic.ENDPOINTS: "SELECT seq FROM endpoint_head",
    Topic.NAMESPACES: "SELECT count(*) + sum(revision) FROM namespace",
    Topic.CLOSED: f"SELECT coalesce(sum(version), 0) FROM limit_state WHERE kind = '{CLOSED}'",
    Topic.SCHEDULES: "SELECT count(*) FROM (SELECT FROM schedule WHERE due_us < 1 LIMIT 1) AS s",
}
NUMBERS = "SELECT " + ", ".join(f"({sql})::bigint AS {topic}" for topic, sql in _NUMBERS.items())
"""One row, a column for each topic."""


def numbers(row: tuple[Any, ...]) -> dict[Topic, int]:
    """What ``NUMBERS`` found."""
    return {topic: number or 0 for topic, number in zip(_NUMBERS, row, strict=True)}
