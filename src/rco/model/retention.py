"""How long what is finished is kept: classes, and what belongs to which."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rco.kit.clock import MICROS
from rco.model.run import RunRow

__all__ = ["RetentionClass", "RetentionOptions", "RunRule"]


class RetentionClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``keep_s`` after its end a thing may go; without it, it is kept until somebody deletes it."""

    keep_s: Annotated[float, Meta(gt=0)] | None = None


class RunRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed runs that fit all of it are of class ``keep``. ``*`` in ``workflow`` and ``namespace`` stands for any
    text."""

    keep: str
    workflow: str = "*"
    namespace: str = "*"
    outcome: Literal["*", "completed", "failed", "cancelled", "terminated"] = "*"

    def fits(self, row: RunRow) -> bool:
        outcome = "" if row.outcome is None else row.outcome.value
        return (
            self.outcome in ("*", outcome)
            and fnmatchcase(row.workflow, self.workflow)
            and fnmatchcase(row.namespace, self.namespace)
        )


class RetentionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept for how long. What is in no class is kept. Without classes nothing is ever dropped."""

    every_s: float = 3600.0
    """How often what is over its time is dropped."""
    rate_per_s: float = 500.0
    """Rows dropped in a second, at most."""
    classes: dict[str, RetentionClass] = {}
    """Classes by name: ``keep`` says for how long, and a class without it is kept until somebody deletes it."""
    runs: list[RunRule] = []
    """Closed runs with their journals: the first rule that fits says the class."""
    events: str = ""
    """The class of accepted events, counted from when they were received."""
    dead_letters: str = ""
    """The class of dead letters that were sent again, counted from then. Those that wait for somebody are kept."""
    evidence: str = ""
    """The class of links of the audit chains, counted from their commit. They go in whole segments, oldest first, and
    only where nothing that is kept needs them; a checkpoint in the chain says so. Empty: they are kept for ever."""
    content: str = ""
    """The class of what is in the content store, counted from when it was last put. Not in a bucket: that has lifecycle
    rules."""
    revocations: str = ""
    """The class of revocations that can have no effect any more, counted from when they were made."""

    def keep_us(self, name: str) -> int | None:
        """How long the class is kept; ``None``: for ever."""
        known = self.classes.get(name)
        return None if known is None or known.keep_s is None else round(known.keep_s * MICROS)

    def class_of(self, row: RunRow) -> str:
        """The class of a closed run; empty where no rule fits."""
        return next((rule.keep for rule in self.runs if rule.fits(row)), "")

    def is_over(self, row: RunRow, now_us: int) -> bool:
        """Whether the time of a closed run is over."""
        keep_us = self.keep_us(self.class_of(row))
        return row.closed_us is not None and keep_us is not None and row.closed_us + keep_us <= now_us

    @property
    def shortest_us(self) -> int | None:
        """The shortest time that a run may be kept for; ``None``: all are kept for ever."""
        found = [keep for rule in self.runs if (keep := self.keep_us(rule.keep)) is not None]
        return min(found, default=None)
