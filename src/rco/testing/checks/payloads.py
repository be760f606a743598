"""Payloads by reference: what a journal or a schedule refers to is there, and is known to be used."""

from __future__ import annotations

from collections.abc import Iterator

from rco.errors import EvidenceBroken
from rco.model.payload import Reference
from rco.payloads.segments import references_of
from rco.scheduler.body import schedule_of
from rco.testing.checks.history import History

__all__ = ["kept"]


def kept(history: History) -> Iterator[str]:
    """Every object that a journal or a schedule refers to is there and whole, and a row says who uses it."""
    tables = history.tables
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
