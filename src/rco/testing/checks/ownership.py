"""Only the owner of a run acts for it."""

from __future__ import annotations

from collections.abc import Iterator

from rco.testing.checks.history import History

__all__ = ["sends"]


def sends(history: History) -> Iterator[str]:
    """When a request leaves a node, no other node owns the run's shard in the database."""
    if history.rewinds:
        return
    for sent in history.sent:
        if sent.owner not in (sent.node, ""):
            yield f"{sent.node} sent {sent.step} of run {sent.run_id.hex()}, which {sent.owner} owned"
