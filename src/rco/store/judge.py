"""Which admissions of a batch hold, and what they add to it. Pure: what they depend on is looked up before, in bulk."""

from __future__ import annotations

import msgspec

from rco.model.decision import Decision
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.run import RunRow
from rco.store.contract.changes import Admission, Admitted, Changes, Claim, StartKey
from rco.store.contract.schedules import ScheduleWrite
from rco.store.quota import Space, charge, refusal, spend

__all__ = ["Added", "Held", "added", "asked_claims", "asked_keys", "asked_runs", "asked_schedules", "judge"]

_ACCEPTED = Admitted("accepted")


class Held(msgspec.Struct):
    """What stands in the way of admissions. Changed by ``judge``: an accepted one counts for those after it."""

    claims: dict[bytes, str]
    """Digest of each claim that was given and has not expired: the correlation id it was given to."""
    keys: dict[tuple[str, str], tuple[bytes, bytes]]
    """(namespace, key) of start keys: request digest and run id."""
    open_runs: set[bytes]
    """Those of ``asked_runs`` that are open once the changes themselves are written."""
    schedules: dict[bytes, tuple[str, str, int]] = {}
    """Of the schedules asked for, by identity and by name: namespace, name and revision."""
    names: set[tuple[str, str]] = set()
    """Namespaces and names of ``schedules``, filled by ``judge``."""
    spaces: dict[str, Space] = {}
    """Of the namespaces that are watched and asked: what they may have and what they have."""


class Added(msgspec.Struct):
    """What a batch's accepted admissions add to its changes, and the decisions of all of them."""

    claims: list[Claim]
    opened: list[RunRow]
    starts: list[tuple[bytes, bytes]]
    keys: list[StartKey]
    events: list[Event]
    messages: list[Message]
    letters: list[DeadLetter]
    decisions: list[Decision]
    schedules: list[ScheduleWrite] = []
    """Each schedule once, with what was expected at first and what it is in the end."""


def asked_claims(changes: Changes) -> list[bytes]:
    """Digests to look up."""
    return [admission.claim.digest for admission in changes.admissions if admission.claim is not None]


def asked_keys(changes: Changes) -> list[StartKey]:
    """Start keys to look up."""
    asked: list[StartKey] = []
    for admission in changes.admissions:
        asked += admission.start_keys
        if admission.keyed:
            asked += [keyed[0] for keyed in admission.keyed]
    return asked


def asked_runs(changes: Changes) -> set[bytes]:
    """Runs that must be open for an admission's messages."""
    return {message.run_id for admission in changes.admissions for message in admission.messages}


def asked_schedules(changes: Changes) -> list[ScheduleWrite]:
    """Schedules to look up, by identity and, those that are put in, by name."""
    return [write for admission in changes.admissions for write in admission.schedules]


def judge(changes: Changes, held: Held, now_us: int) -> list[Admitted]:
    """What becomes of each admission, in their order; an accepted one counts for those after it."""
    for key in changes.start_keys:
        held.keys.setdefault((key.namespace, key.key), (key.request, key.run_id))
    held.names = {(namespace, name) for namespace, name, _ in held.schedules.values()}
    if held.spaces:
        spend(held.spaces, changes, now_us)
    return [_one(admission, held, now_us) for admission in changes.admissions]


def _one(admission: Admission, held: Held, now_us: int) -> Admitted:
    taken, keys, open_runs = held.claims, held.keys, held.open_runs
    claim = admission.claim
    if claim is not None and claim.digest in taken:
        return Admitted("duplicate", corr_id=taken[claim.digest])
    for key in admission.start_keys:
        holder = keys.get((key.namespace, key.key))
        if holder is not None:
            return Admitted("duplicate" if holder[0] == key.request else "conflict", run_id=holder[1])
    own = [row.run_id for row, _ in admission.opened]
    for message in admission.messages:
        if message.run_id not in open_runs and message.run_id not in own:
            return Admitted("closed", run_id=message.run_id)
    if admission.schedules and not _fit(admission.schedules, held):
        return Admitted("stale")
    if held.spaces:
        over = charge(admission, held.spaces, _held_keys(admission, held))
        if over is not None:
            return over
    if admission.schedules:
        _count_schedules(admission.schedules, held)
    if claim is not None and claim.expires_us > now_us:
        taken[claim.digest] = claim.corr_id
    for key in admission.start_keys:
        keys[key.namespace, key.key] = (key.request, key.run_id)
    open_runs.update(own)
    if not admission.keyed:
        return _ACCEPTED
    skipped: list[bytes] = []
    for key, row, _, _ in admission.keyed:
        if keys.setdefault((key.namespace, key.key), (key.request, key.run_id))[1] != key.run_id:
            skipped.append(row.run_id)
        else:
            open_runs.add(row.run_id)
    return Admitted("accepted", skipped=tuple(skipped))


def _held_keys(admission: Admission, held: Held) -> list[bytes]:
    """Runs of ``keyed`` that will not be opened."""
    seen: set[tuple[str, str]] = set()
    skipped: list[bytes] = []
    for key, row, _, _ in admission.keyed:
        name = (key.namespace, key.key)
        if name in seen or (name in held.keys and held.keys[name][1] != key.run_id):
            skipped.append(row.run_id)
        seen.add(name)
    return skipped


def _fit(writes: list[ScheduleWrite], held: Held) -> bool:
    """Whether every write meets what it expects."""
    schedules, names = held.schedules, held.names
    for write in writes:
        row = write.row
        there = schedules.get(row.schedule_id)
        if (None if there is None else there[2]) != write.expect:
            return False
        if write.expect is None and (row.namespace, row.name) in names:
            return False
    return True


def _count_schedules(writes: list[ScheduleWrite], held: Held) -> None:
    """What they leave counts for those after them."""
    schedules, names = held.schedules, held.names
    for write in writes:
        row = write.row
        if write.gone:
            del schedules[row.schedule_id]
            names.discard((row.namespace, row.name))
        else:
            schedules[row.schedule_id] = (row.namespace, row.name, row.revision)
            names.add((row.namespace, row.name))


def added(changes: Changes, verdicts: list[Admitted]) -> Added:
    """What follows from the verdicts, in the order of the admissions."""
    found = Added([], [], [], [], [], [], [], [])
    for admission, verdict in zip(changes.admissions, verdicts, strict=True):
        if verdict.status != "accepted":
            if verdict.status == "quota":
                found.decisions += refusal(admission, verdict)
            else:
                found.decisions += admission.duplicate if verdict.status == "duplicate" else admission.otherwise
            continue
        found.decisions += admission.accepted
        if admission.claim is not None:
            found.claims.append(admission.claim)
        if admission.event is not None:
            found.events.append(admission.event)
        for row, first in admission.opened:
            found.opened.append(row)
            found.starts.append((row.run_id, first))
        found.keys += admission.start_keys
        for key, row, first, decision in admission.keyed:
            if row.run_id not in verdict.skipped:
                found.keys.append(key)
                found.opened.append(row)
                found.starts.append((row.run_id, first))
                found.decisions.append(decision)
        found.messages += admission.messages
        found.letters += admission.letters
        if admission.schedules:
            found.schedules += admission.schedules
    if found.schedules:
        found.schedules = _net(found.schedules)
    return found


def _net(writes: list[ScheduleWrite]) -> list[ScheduleWrite]:
    net: dict[bytes, ScheduleWrite] = {}
    for write in writes:
        first = net.get(write.row.schedule_id)
        if first is not None:
            owned = first.owned or write.owned
            write = msgspec.structs.replace(write, expect=first.expect, owned=owned)  # noqa: PLW2901
        net[write.row.schedule_id] = write
    # Put in and removed again: nothing of it is left.
    return [write for write in net.values() if write.expect is not None or not write.gone]
