"""One question a file; each holds ``QUESTION``. The order is that of the table."""

from __future__ import annotations

from importlib import import_module

from bench.question import Question

__all__ = ["BRIDGE", "EVERY", "NAMES", "question"]

NAMES = (
    "fsync",
    "http_floor",
    "help",
    "bare",
    "pgbench",
    "steps",
    "one_step",
    "fan_out",
    "timers",
    "schedules",
    "queues",
    "signals",
    "webhooks",
    "calls",
    "restart",
    "takeover",
    "idle",
    "limits",
    "open_runs",
    "control",
    "start",
)
"""What ``make bench`` asks."""
BRIDGE = ("edge", "bombs", "mixed", "mixed_most", "revocation")
"""What ``make bench-bridge`` asks besides ``webhooks``: the bridge as a whole takes its time."""
EVERY = NAMES + BRIDGE


def question(name: str) -> Question:
    """Raises ``KeyError`` for a name that is not in ``EVERY``."""
    if name not in EVERY:
        raise KeyError(name)
    found: Question = import_module(f"bench.questions.{name}").QUESTION
    return found
