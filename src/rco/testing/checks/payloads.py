"""Payloads by reference: what a journal or a schedule refers to is there, is known to be used, and is never collected;
the rest is in the end."""

from __future__ import annotations

from collections.abc import Iterator

from rco.errors import EvidenceBroken
from rco.model.payload import Reference
from rco.payloads.segments import references_of
from rco.scheduler.body import schedule_of
from rco.testing.checks.history import History
from rco.testing.table_payloads import used

__all__ = ["kept"]


def kept(history: History) -> Iterator[str]:
    """Every object that a journal or a schedule refers to is there and whole, and a row says who uses it. Nothing that
    was referred to was ever removed; and where somebody collects, what nobody refers to is gone in the end."""
    tables = history.tables
    for removed in history.collected:
        yield f"payload {removed} was collected, and something referred to it"
    if history.plan.collect_every_s and not history.stuck:
        left = set(history.shelf.held) - used(tables, list(history.shelf.held))
        for name in sorted(left):
            yield f"payload {name.hex()} is kept, and nothing refers to it"
    uses = {(one.name, one.who) for one in tables.payloads}
    for row in tables.schedules.values():
        held = schedule_of(row).spec.input
        if isinstance(held, Reference) and (row.payload != held.name or (held.name, row.schedule_id) not in uses):
            yield f"schedule {row.name} refers to {held.name.hex()}, and no row says so"
    for run_id, segments in tables.journal.items():
        for segment in segments:
            for reference in references_of(segment.data):
                try:
                    history.shelf.fetched(reference)
                except EvidenceBroken as broken:
                    yield f"run {run_id.hex()} refers to what is not there: {broken}"
                if (reference.name, run_id) not in uses and not history.rewinds:
                    yield f"run {run_id.hex()} refers to {reference.name.hex()}, and no row says so"
