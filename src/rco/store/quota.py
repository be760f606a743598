"""What a namespace's quotas let in. Pure: what was used is looked up before, and what is added is written after."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rco.kit.clock import MICROS
from rco.model.decision import Decision, Verb
from rco.model.namespace import NamespaceRow, NamespaceState
from rco.model.run import RunRow
from rco.store.contract.changes import Admission, Admitted, Changes
from rco.store.contract.payloads import PayloadUse

__all__ = ["DAY_S", "Added", "Space", "added_to", "asked_spaces", "charge", "refusal", "spend"]

DAY_S = 86_400
_BRIEF_S = 1.0


class Added(msgspec.Struct):
    """What one transaction adds to what a namespace has used. ``must``: some of it was asked, and let in."""

    open: int = 0
    starts: int = 0
    events: int = 0
    size_bytes: int = 0
    schedules: int = 0
    must: bool = False


class Space(msgspec.Struct):
    """A namespace while a transaction is judged: what it may have, and what it has with all that was let in so far."""

    row: NamespaceRow
    open: int
    second: int
    starts_second: int
    day: int
    starts_day: int
    events_day: int
    size_bytes: int
    schedules: int
    added: Added = msgspec.field(default_factory=Added)

    def at(self, now_us: int) -> None:
        """Go on in the second and the day of ``now_us``. Time that was counted in never comes back."""
        second = now_us // MICROS
        if second > self.second:
            self.second, self.starts_second = second, 0
        if second // DAY_S > self.day:
            self.day, self.starts_day, self.events_day = second // DAY_S, 0, 0

    def add(self, more: Added) -> None:
        self.open += more.open
        self.starts_second += more.starts
        self.starts_day += more.starts
        self.events_day += more.events
        self.size_bytes += more.size_bytes
        self.schedules += more.schedules
        mine = self.added
        mine.open += more.open
        mine.starts += more.starts
        mine.events += more.events
        mine.size_bytes += more.size_bytes
        mine.schedules += more.schedules
        mine.must = mine.must or more.must


def asked_spaces(changes: Changes, watched: frozenset[str]) -> set[str]:
    """Those of ``watched`` that ``changes`` adds something to."""
    names = {row.namespace for row in changes.opened}
    names.update(event.namespace for event in changes.events)
    names.update(use.namespace for use in changes.payloads)
    for admission in changes.admissions:
        names.update(row.namespace for row, _ in admission.opened)
        names.update(row.namespace for _, row, _, _ in admission.keyed)
        names.update(write.row.namespace for write in admission.schedules)
        if admission.event is not None:
            names.add(admission.event.namespace)
    return names & watched


def added_to(changes: Changes, spaces: Iterable[str]) -> dict[str, Added]:
    """What accepted work adds by itself: children, runs that an emitted event starts, the events, and what is kept by
    reference."""
    added = {name: Added() for name in spaces}
    for row in changes.opened:
        space = added.get(row.namespace)
        if space is not None and _counts(row):
            space.open += 1
            space.starts += 1
    for event in changes.events:
        space = added.get(event.namespace)
        if space is not None:
            space.events += 1
            space.size_bytes += len(event.data)
    if changes.payloads:
        # What is asked for is counted when it is let in.
        asked = {use.name for admission in changes.admissions for use in admission.payloads}
        for name, size_bytes in _kept(use for use in changes.payloads if use.name not in asked):
            space = added.get(name)
            if space is not None:
                space.size_bytes += size_bytes
    return added


def _kept(uses: Iterable[PayloadUse]) -> Iterable[tuple[str, int]]:
    """The namespace and the size of each object once that was put for these."""
    once = {use.name: (use.namespace, use.size_bytes) for use in uses if not use.again}
    return once.values()


def spend(spaces: dict[str, Space], changes: Changes, now_us: int) -> None:
    """Before anything is judged: count what is there already, and what nobody refuses."""
    for space in spaces.values():
        space.at(now_us)
    for name, added in added_to(changes, spaces).items():
        spaces[name].add(added)


def charge(admission: Admission, spaces: dict[str, Space], skipped: Iterable[bytes] = ()) -> Admitted | None:
    """Let ``admission`` in where every quota allows it, and count it; else say which one does not, and count nothing.

    A tick of a schedule is counted and never refused: the schedule was accepted.
    """
    left_out = frozenset(skipped)
    wanted: dict[str, Added] = {}
    largest: dict[str, int] = {}

    def of(name: str, size_bytes: int) -> Added | None:
        if name not in spaces:
            return None
        largest[name] = max(largest.get(name, 0), size_bytes)
        return wanted.setdefault(name, Added())

    opened = list(admission.opened)
    opened += [(row, segment) for _, row, segment, _ in admission.keyed if row.run_id not in left_out]
    for row, segment in opened:
        added = of(row.namespace, len(segment)) if _counts(row) else None
        if added is not None:
            added.open += 1
            added.starts += 1
            added.size_bytes += len(segment)
    if admission.event is not None:
        added = of(admission.event.namespace, len(admission.event.data))
        if added is not None:
            added.events += 1
            added.size_bytes += len(admission.event.data)
    for write in admission.schedules:
        added = of(write.row.namespace, 0) if write.expect is None or write.gone else None
        if added is not None:
            added.schedules += -1 if write.gone else 1
    for name, size_bytes in _kept(admission.payloads):
        added = of(name, size_bytes)
        if added is not None:
            added.size_bytes += size_bytes
    if not any(write.owned for write in admission.schedules):
        for name, added in wanted.items():
            # What is sent to a run that was accepted is bounded by its size alone.
            new = added.open > 0 or added.events > 0 or added.schedules > 0
            if new or added.size_bytes:
                refused = _over(spaces[name], added, largest[name], new=new)
                if refused is not None:
                    return refused
                added.must = new
    for name, added in wanted.items():
        spaces[name].add(added)
    return None


def refusal(admission: Admission, verdict: Admitted) -> list[Decision]:
    """The evidence that ``admission`` was refused by a quota."""
    if not admission.accepted and not admission.keyed:
        return []
    first = admission.accepted[0] if admission.accepted else admission.keyed[0][3]
    facts: dict[str, str | int | bool] = {"quota": verdict.quota, "namespace": verdict.namespace}
    refused = msgspec.structs.replace(
        first, verb=Verb.REFUSE, allow=False, run="", reason=f"quota {verdict.quota}", facts=facts
    )
    return [refused]


def _counts(row: RunRow) -> bool:
    return not row.workflow.startswith("rco.")


def _over(space: Space, more: Added, largest_bytes: int, *, new: bool) -> Admitted | None:
    quotas = space.row.quotas
    midnight_s = float((space.day + 1) * DAY_S - space.second)
    if new and space.row.state is not NamespaceState.ACTIVE:
        return _no(space, "closed", 0.0)
    if _beyond(largest_bytes, quotas.payload_bytes):
        return _no(space, "payload_bytes", 0.0)
    if more.schedules > 0 and _beyond(space.schedules + more.schedules, quotas.schedules):
        return _no(space, "schedules", 0.0)
    if more.size_bytes and _beyond(space.size_bytes + more.size_bytes, quotas.stored_bytes):
        return _no(space, "stored_bytes", 0.0)
    if more.starts and _beyond(space.starts_day + more.starts, quotas.starts_per_day):
        return _no(space, "starts_per_day", midnight_s)
    if more.events and _beyond(space.events_day + more.events, quotas.events_per_day):
        return _no(space, "events_per_day", midnight_s)
    if more.open and _beyond(space.open + more.open, quotas.open_runs):
        return _no(space, "open_runs", _BRIEF_S)
    if more.starts and _beyond(space.starts_second + more.starts, quotas.starts_per_s):
        return _no(space, "starts_per_s", _BRIEF_S)
    return None


def _beyond(count: int, limit: int | None) -> bool:
    return limit is not None and count > limit


def _no(space: Space, quota: str, retry_after_s: float) -> Admitted:
    return Admitted("quota", quota=quota, namespace=space.row.name, retry_after_s=retry_after_s)
