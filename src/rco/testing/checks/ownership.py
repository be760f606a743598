"""Only the owner of a run acts for it."""

from __future__ import annotations

from collections.abc import Iterator

from rco.errors import Fenced
from rco.testing.checks.history import History
from rco.testing.tables import Rewound

__all__ = ["sends", "writes"]


def sends(history: History) -> Iterator[str]:
    """When a request leaves a node, no other node owns the run's shard in the database."""
    if history.rewinds:
        return
    for sent in history.sent:
        if sent.owner not in (sent.node, ""):
            yield f"{sent.node} sent {sent.step} of run {sent.run_id.hex()}, which {sent.owner} owned"


def writes(history: History) -> Iterator[str]:
    """No node writes what the store must refuse, but what it wrote as an owner that it no longer was."""
    for problem in history.broken:
        if not isinstance(problem, Fenced | Rewound):
            yield f"a node stopped: {type(problem).__name__}: {problem}"
