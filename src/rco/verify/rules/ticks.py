"""Part of (a): a tick of a schedule has one run, and not before its time.

A schedule's runs name their tick in their key: ``schedule:<identity>:<time of the tick, RFC 3339>``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rco.verify.case import Run
from rco.verify.verdict import Findings

__all__ = ["Ticks"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ticks:
    """Looks at every run of the export that a schedule started by the clock or by a backfill."""

    def __init__(self, found: Findings) -> None:
        self._found = found
        self._runs: dict[tuple[str, str], str] = {}

    @property
    def count(self) -> int:
        """How many ticks have a run."""
        return len(self._runs)

    def take(self, run: Run) -> None:
        line = run.line
        if line.key is None or not line.key.startswith("schedule:"):
            return
        schedule, _, tick = line.key.removeprefix("schedule:").partition(":")
        if tick.startswith("trigger:"):
            return
        before = self._runs.setdefault((line.namespace, line.key), line.id)
        if before != line.id:
            self._found.add(f"tick {tick} of schedule {schedule} has two runs, {before} and {line.id}")
        try:
            due_us = (datetime.fromisoformat(tick) - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, TypeError):
            self._found.add(f"{run.name} has the key {line.key[:80]!r}, which names no tick")
            return
        if line.opened_us < due_us:
            self._found.add(f"{run.name} was opened {due_us - line.opened_us} us before its tick {tick}")
