"""Which admissions of a batch hold. Asks in bulk, answers in order."""

from __future__ import annotations

import sqlite3

from rco.store.contract.changes import Admission, Admitted, Changes, StartKey
from rco.store.sqlite.bulk import Bulk

__all__ = ["judge", "open_among"]

_CLAIMS = Bulk("SELECT digest, corr_id, expires_us FROM claim WHERE digest IN (VALUES ", "(?)", ")")
_KEYS = Bulk(
    "SELECT k.namespace, k.key, k.request, k.run_id FROM (VALUES ",
    "(?,?)",
    ") AS a CROSS JOIN start_key AS k ON k.namespace = a.column1 AND k.key = a.column2",
)
_OPEN = Bulk("SELECT run_id FROM run WHERE run_id IN (VALUES ", "(?)", ")")
_ACCEPTED = Admitted("accepted")


def open_among(cursor: sqlite3.Cursor, run_ids: set[bytes], changes: Changes) -> set[bytes]:
    """Which of ``run_ids`` are open once ``changes`` is written."""
    found = {row[0] for row in _OPEN.fetch(cursor, list(run_ids))} if run_ids else set()
    found.update(row.run_id for row in changes.opened)
    found.difference_update(ended.run_id for ended in changes.ended)
    return found


def judge(cursor: sqlite3.Cursor, changes: Changes, open_runs: set[bytes], now_us: int) -> list[Admitted]:
    """What becomes of each admission, in their order; an accepted one counts for those after it.

    ``open_runs`` are the open ones among the runs that messages go to; runs opened by accepted admissions are added.
    """
    claims = [admission.claim.digest for admission in changes.admissions if admission.claim is not None]
    taken = {row[0]: row[1] for row in _CLAIMS.fetch(cursor, claims) if row[2] > now_us} if claims else {}
    asked = [
        text for admission in changes.admissions for key in _keys_of(admission) for text in (key.namespace, key.key)
    ]
    held = {(row[0], row[1]): (row[2], row[3]) for row in _KEYS.fetch(cursor, asked)} if asked else {}
    for key in changes.start_keys:
        held.setdefault((key.namespace, key.key), (key.request, key.run_id))
    return [_one(admission, taken, held, open_runs, now_us) for admission in changes.admissions]


def _one(
    admission: Admission,
    taken: dict[bytes, str],
    held: dict[tuple[str, str], tuple[bytes, bytes]],
    open_runs: set[bytes],
    now_us: int,
) -> Admitted:
    claim = admission.claim
    if claim is not None and claim.digest in taken:
        return Admitted("duplicate", corr_id=taken[claim.digest])
    for key in admission.start_keys:
        holder = held.get((key.namespace, key.key))
        if holder is not None:
            return Admitted("duplicate" if holder[0] == key.request else "conflict", run_id=holder[1])
    own = [row.run_id for row, _ in admission.opened]
    for message in admission.messages:
        if message.run_id not in open_runs and message.run_id not in own:
            return Admitted("closed", run_id=message.run_id)
    if claim is not None and claim.expires_us > now_us:
        taken[claim.digest] = claim.corr_id
    for key in admission.start_keys:
        held[key.namespace, key.key] = (key.request, key.run_id)
    open_runs.update(own)
    if not admission.keyed:
        return _ACCEPTED
    skipped: list[bytes] = []
    for key, row, _, _ in admission.keyed:
        if held.setdefault((key.namespace, key.key), (key.request, key.run_id))[1] != key.run_id:
            skipped.append(row.run_id)
        else:
            open_runs.add(row.run_id)
    return Admitted("accepted", skipped=tuple(skipped))


def _keys_of(admission: Admission) -> list[StartKey]:
    if not admission.keyed:
        return admission.start_keys
    return [*admission.start_keys, *(keyed[0] for keyed in admission.keyed)]
