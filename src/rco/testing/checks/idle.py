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
    if bare > AT_LEAST + FOR_EACH_RECORD * records:
        yield f"{bare} of {len(seals)} commits added nothing; there are {records} records"
