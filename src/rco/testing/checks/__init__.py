"""What must hold in every world, one file a rule. ``check`` asks them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rco.testing.checks import (
    attributes,
    closing,
    content,
    durable,
    effects,
    erasure,
    evidence,
    forks,
    idle,
    journals,
    limits,
    order,
    ownership,
    pauses,
    payloads,
    pools,
    queues,
    retention,
    signals,
    ticks,
    timers,
    undo,
    versions,
)
from rco.testing.checks.history import Finding, History, Run

__all__ = ["RULES", "Finding", "History", "Run", "check"]

RULES: dict[str, Callable[[History], Iterable[str]]] = {
    "quiet": closing.quiet,
    "live": closing.live,
    "starts": closing.starts,
    "outcomes": closing.outcomes,
    "journals": journals.contiguous,
    "epochs": journals.epochs,
    "durable": durable.before,
    "finished": durable.never_again,
    "effects": effects.happened,
    "repeats": effects.repeats,
    "once": effects.once,
    "probes": effects.probed,
    "signals": signals.taken,
    "events": signals.heard,
    "order": order.of_signals,
    "timers": timers.fired,
    "retries": timers.retried,
    "undo": undo.ran,
    "owners": ownership.sends,
    "writes": ownership.writes,
    "evidence": evidence.chains,
    "rewound": evidence.rewound,
    "idle": idle.commits,
    "pauses": pauses.still,
    "forks": forks.alike,
    "ticks": ticks.once,
    "versions": versions.pinned,
    "places": pools.places,
    "limits": queues.limits,
    "turns": queues.turns,
    "fair": queues.fair,
    "ordered": queues.in_order,
    "calls": limits.kept,
    "payloads": payloads.kept,
    "content": content.kept,
    "erased": erasure.complete,
    "found": attributes.found,
    "kept": retention.kept,
    "due": retention.due,
    "trims": retention.told,
}
"""Every rule by its name."""


def check(history: History) -> Iterator[Finding]:
    """Everything that is broken, by the rule that found it."""
    for name, rule in RULES.items():
        for what in rule(history):
            yield Finding(name, what)
