"""What a test sees of runs: plain data."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from rco.model.event import Event
from rco.model.run import Outcome
from rco.testing.failures import RunNotCompleted
from rco.testing.stub_targets import Called

__all__ = ["Emitted", "Ended", "Pending"]


class Pending(msgspec.Struct, frozen=True):
    """Something a run waits for. ``due_in_s``: when time alone ends it, counted from now."""

    key: str
    what: str
    due_in_s: float | None = None
    in_doubt: bool = False


class Emitted(msgspec.Struct, frozen=True):
    """An event that a run emitted."""

    type: str
    subject: str | None
    data: Any

    @classmethod
    def of(cls, event: Event) -> Emitted:
        return cls(event.type, event.subject, json.loads(event.data))


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended. ``value`` is its result, or its error as plain data when ``outcome`` is not ``completed``.

    ``took_s``: how much virtual time passed. ``journal``: (kind, step key) of each record, in order. ``emitted``: the
    events of all runs. ``history``: what they recorded, as ``rco export --payloads`` writes it.
    """

    outcome: str
    value: Any
    took_s: float
    calls: list[Called]
    journal: list[tuple[str, str]]
    workflow: str = ""
    emitted: list[Emitted] = []
    history: bytes = b""

    def result(self) -> Any:
        """``value`` of a run that completed. Raises ``RunNotCompleted`` with the reason and the journal otherwise."""
        if self.outcome != Outcome.COMPLETED.value:
            raise RunNotCompleted(self.workflow, self.outcome, self.value, self.journal)
        return self.value
