"""Whether a simulated world that has come to rest is swept: from then on its nodes would only look again and again."""

from __future__ import annotations

from rco.testing.checks.retention import keep_s
from rco.testing.plan import Plan
from rco.testing.shelf import Shelf
from rco.testing.table_payloads import used
from rco.testing.tables import Tables

__all__ = ["swept"]


def swept(plan: Plan, tables: Tables, shelf: Shelf) -> bool:
    """Whether all has gone that may go: content to where it ends, objects that nothing refers to, events and closed
    runs over their time. Where something stays that others have a claim on, this says no."""
    if tables.staged:
        return False
    if plan.collect_every_s and set(shelf.held) - used(tables, list(shelf.held)):
        return False
    retention = plan.retention
    if retention is None:
        return True
    if retention.keep_us(retention.events) is not None and tables.events:
        return False
    return all(keep_s(retention, row) == float("inf") for row in tables.closed.values())
