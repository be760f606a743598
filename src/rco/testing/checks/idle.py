"""A run that waits leaves the database alone."""

from __future__ import annotations

from collections.abc import Iterator

from rco.testing.checks.history import History

__all__ = ["commits"]

FOR_EACH_RECORD = 4
AT_LEAST = 60


def commits(history: History) -> Iterator[str]:
    """Commits that add nothing to journals or evidence (runs that park and wake) are few beside the records."""
    seals = [seal for chain in history.tables.chains.values() for seal in chain]
    bare = sum(not seal.leaves and seal.decisions == b"[]" for seal in seals)
    records = sum(history.tables.counts.values())
    retention = history.plan.retention
    # Each time, retention looks for events that may go within a transaction of its own.
    looks = 0.0 if retention is None else history.ended_s / retention.every_s
    if bare > AT_LEAST + FOR_EACH_RECORD * records + looks:
        yield f"{bare} of {len(seals)} commits added nothing; there are {records} records"
