"""What quotas mean, counted from plain tables at every commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.model.namespace import NamespaceState, Usage
from rco.model.run import RunRow
from rco.store.contract.changes import Admission, Admitted, Changes
from rco.store.contract.payloads import PayloadUse
from rco.testing.table_payloads import kept_bytes

Tables = Any
"""``rco.testing.tables.Tables``, which imports this."""

__all__ = ["ModelQuotas", "usage_of"]

_SECOND_US = 1_000_000
_DAY_S = 86_400


def usage_of(tables: Tables, name: str, now_us: int) -> Usage:
    """What a namespace has at ``now_us``."""
    known = tables.counted.get(name, Usage())
    second = max(known.second, now_us // _SECOND_US)
    day = max(known.day, second // _DAY_S)
    roots = [
        row.run_id
        for row in (*tables.runs.values(), *tables.closed.values())
        if _mine(row, name) and row.parent is None
    ]
    firsts = [segment for run in roots for segment in tables.journal.get(run, ()) if segment.first_seq == 0]
    events = [event for event in tables.events if event.namespace == name]
    row = tables.namespaces.get(name)
    measured = row is not None and row.quotas.stored_bytes is not None
    stored = sum(len(segment.data) for segment in firsts) + sum(len(event.data) for event in events)
    stored += kept_bytes(tables, name) if measured else 0
    return Usage(
        open_runs=sum(_mine(row, name) for row in tables.runs.values()),
        second=second,
        starts_second=known.starts_second if second == known.second else 0,
        day=day,
        starts_day=known.starts_day if day == known.day else 0,
        events_day=known.events_day if day == known.day else 0,
        stored_bytes=stored if measured else None,
        schedules=sum(row.namespace == name for row in tables.schedules.values()),
    )


class ModelQuotas:
    """The quotas during one transaction."""

    def __init__(self, tables: Tables, changes: Changes, now_us: int) -> None:
        self._rows = {name: row for name, row in tables.namespaces.items() if row.watched}
        self.asked = bool(self._rows)
        self._before = tables.counted
        self._usage = {}
        for name in self._rows:
            usage = usage_of(tables, name, now_us)
            begun = sum(_mine(row, name) for row in changes.opened)
            events = [event for event in changes.events if event.namespace == name]
            asked = {use.name for admission in changes.admissions for use in admission.payloads}
            kept = _kept([use for use in changes.payloads if use.name not in asked], name)
            added = sum(len(event.data) for event in events) + sum(kept)
            self._usage[name] = _more(usage, begun, len(events), added, 0)

    def counted(self) -> dict[str, Usage]:
        """What is counted once the transaction stands."""
        return {**self._before, **self._usage}

    def admit(self, admission: Admission, held: dict[tuple[str, str], tuple[bytes, bytes]]) -> Admitted | None:
        """``None`` when it is let in, and counted."""
        begins = [(row, segment) for row, segment in admission.opened]
        taken = dict(held)
        for key, row, segment, _ in admission.keyed:
            if taken.setdefault((key.namespace, key.key), (key.request, key.run_id))[1] == key.run_id:
                begins.append((row, segment))
        after = {}
        free = any(write.owned for write in admission.schedules)
        for name, namespace in self._rows.items():
            inputs = [len(segment) for run, segment in begins if _mine(run, name)]
            event = admission.event if admission.event is not None and admission.event.namespace == name else None
            data = [] if event is None else [len(event.data)]
            writes = [write for write in admission.schedules if write.row.namespace == name]
            new = sum(write.expect is None for write in writes) - sum(write.gone for write in writes)
            kept = _kept(admission.payloads, name)
            adds = bool(inputs or data or new > 0)
            usage = _more(self._usage[name], len(inputs), len(data), sum(inputs) + sum(data) + sum(kept), new)
            if not free and (adds or kept):
                quotas, second = namespace.quotas, usage.second
                midnight_s = float((usage.day + 1) * _DAY_S - second)
                for quota, over, after_s in (
                    ("closed", adds and namespace.state is not NamespaceState.ACTIVE, 0.0),
                    ("payload_bytes", _over(max((*inputs, *data, *kept, 0)), quotas.payload_bytes), 0.0),
                    ("schedules", new > 0 and _over(usage.schedules, quotas.schedules), 0.0),
                    (
                        "stored_bytes",
                        sum(inputs) + sum(data) + sum(kept) > 0 and _over(usage.stored_bytes, quotas.stored_bytes),
                        0.0,
                    ),
                    ("starts_per_day", bool(inputs) and _over(usage.starts_day, quotas.starts_per_day), midnight_s),
                    ("events_per_day", bool(data) and _over(usage.events_day, quotas.events_per_day), midnight_s),
                    ("open_runs", bool(inputs) and _over(usage.open_runs, quotas.open_runs), 1.0),
                    ("starts_per_s", bool(inputs) and _over(usage.starts_second, quotas.starts_per_s), 1.0),
                ):
                    if over:
                        return Admitted("quota", quota=quota, namespace=name, retry_after_s=after_s)
            after[name] = usage
        self._usage.update(after)
        return None


def _more(usage: Usage, starts: int, events: int, size_bytes: int, schedules: int) -> Usage:
    return Usage(
        open_runs=usage.open_runs + starts,
        second=usage.second,
        starts_second=usage.starts_second + starts,
        day=usage.day,
        starts_day=usage.starts_day + starts,
        events_day=usage.events_day + events,
        stored_bytes=None if usage.stored_bytes is None else usage.stored_bytes + size_bytes,
        schedules=usage.schedules + schedules,
    )


def _kept(uses: Iterable[PayloadUse], name: str) -> list[int]:
    """The sizes of what was put for ``uses`` of a namespace."""
    return list({use.name: use.size_bytes for use in uses if use.namespace == name and not use.again}.values())


def _over(count: int | None, limit: int | None) -> bool:
    return limit is not None and count is not None and count > limit


def _mine(row: RunRow, name: str) -> bool:
    return row.namespace == name and not row.workflow.startswith("rco.")
