"""What is to be reached beside whom. A ratio is ours to the best of those named, of rounds that ran side by side."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUESTIONS", "REACHES", "Asked", "Bound"]


@dataclass(frozen=True)
class Asked:
    """A question as the table says it. ``more``: more of it is better."""

    name: str
    text: str
    unit: str
    more: bool = False


QUESTIONS = (
    Asked("steps-100", "Durable steps a second, 10 a run, 100 runs at a time", "/s", more=True),
    Asked("steps-1", "Durable steps a second, 10 a run, one run at a time", "/s", more=True),
    Asked("cpu", "CPU seconds of all processes for 1 000 steps, 100 runs at a time", "s"),
    Asked("one-step", "Start to result of a run of one step, one at a time, p50", "ms"),
    Asked("timers", "Lateness of 1 000 runs that sleep a second, started at once, p99", "ms"),
    Asked("recovery", "500 runs of 10 steps of 20 ms, `kill -9` at half: restart until every effect is there", "s"),
    Asked("webhooks", "Accepted webhooks a second, 64 connections, 1 KiB", "/s", more=True),
)


@dataclass(frozen=True)
class Bound:
    """Ours is to be at least (``more`` of the question) or at most ``factor`` times the best of ``peers``; a name that
    ends in ``*`` stands for all that begin so, and ``durable`` for every engine that remembers steps."""

    question: str
    text: str
    peers: tuple[str, ...]
    factor: float


REACHES = (
    Bound("steps-100", "≥ 90 x DBOS", ("dbos*",), 90),
    Bound("steps-100", "≥ 5 x Restate at its best setting", ("restate*",), 5),
    Bound("steps-100", "≥ 15 x Absurd", ("absurd",), 15),
    Bound("cpu", "≤ 1/9 of the best peer", ("durable", "queue"), 1 / 9),
    Bound("one-step", "≤ 1/3 of the best durable peer", ("durable",), 1 / 3),
    Bound("timers", "≤ 1/10 of the best durable peer", ("durable",), 1 / 10),
    Bound("recovery", "≤ the best peer", ("durable", "queue"), 1),
    Bound("webhooks", "≥ 2 x FastAPI + asyncpg that only stores", ("ingest",), 2),
)
