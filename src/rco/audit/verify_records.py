"""Check the records that a sink wrote with nothing but its lines: a cut, an edit, an addition or a move shows.

What cannot be seen from the lines alone is a cut at the end; against that there is ``expect_head``, the hash of the
last record, which the store's chain notes at each start and stop, and ``/v1/audit/recent`` shows.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

import msgspec

from rco.audit.link import GENESIS
from rco.audit.record import TORN, Record, decode_record, record_hash
from rco.audit.verdict import MAX_PROBLEMS, Problem, Verdict
from rco.kit.digest import content_address
from rco.model.decision import Decision

__all__ = ["looks_like_records", "verify_records"]

_decision = msgspec.json.Decoder(Decision).decode


def looks_like_records(line: bytes) -> bool:
    """Whether a file that begins with ``line`` is one of a sink's records."""
    return line.startswith(b'{"line":"record",')


def verify_records(lines: Iterable[bytes], *, expect_head: str | None = None) -> Verdict:
    """The verdict over a sink's lines, in order. ``expect_head``: the hash that the last record must have.

    A line that a crash cut off is passed where the next record names its size and digest, and goes on from the record
    before it: then nothing is missing between them.
    """
    problems: list[Problem] = []
    first: Record | None = None
    last: Record | None = None
    count = dropped = 0
    odd: tuple[int, bytes, str] | None = None
    for at, line in enumerate(lines, 1):
        if len(problems) >= MAX_PROBLEMS:
            break
        try:
            record = decode_record(line)
        except ValueError as error:
            if odd is not None:
                problems.append(Problem(odd[0], f"cannot be read: {odd[2]}"))
            odd = (at, line.removesuffix(b"\n"), str(error))
            continue
        if odd is not None and not _names(record, odd[1]):
            problems.append(Problem(odd[0], f"cannot be read: {odd[2]}"))
        odd = None
        problems += (Problem(at, what) for what in _wrong(record, last))
        first, last = first or record, record
        count += 1
        dropped += record.dropped
    if odd is not None:
        problems.append(Problem(odd[0], f"cannot be read: {odd[2]}"))
    head = last.hash if last else GENESIS.hex()
    if expect_head is not None and not hmac.compare_digest(head, expect_head.strip().lower()):
        problems.append(Problem(0, f"the last record has the hash {head}, not the one that was expected"))
    return Verdict(
        ok=not problems,
        first=first.n if first else 0,
        last=last.n if last else 0,
        head=head,
        links=count,
        decisions=count,
        segments=0,
        absent=0,
        run=None,
        anchored=first is None or first.n == 1,
        head_expected=expect_head is not None,
        problems=tuple(problems),
        dropped=dropped,
    )


def _wrong(record: Record, last: Record | None) -> list[str]:
    found = []
    text = bytes(record.decision)
    prev = bytes.fromhex(record.prev)
    told = record_hash(prev=prev, n=record.n, dropped=record.dropped, decision=text)
    if told.hex() != record.hash:
        found.append(f"record {record.n} does not have the hash that it says: it was changed")
    if last is None:
        if record.n == 1 and prev != GENESIS:
            found.append("record 1 names a record before it")
    elif record.n != last.n + 1:
        found.append(f"record {record.n} after {last.n}: records are missing, or were moved")
    elif record.prev != last.hash:
        found.append(f"record {record.n} does not carry the hash of record {last.n}")
    return found


def _names(record: Record, torn: bytes) -> bool:
    """Whether ``record`` says that ``torn`` was cut off before it."""
    try:
        decision = _decision(record.decision)
    except (msgspec.DecodeError, RecursionError):
        return False
    return (
        decision.reason == TORN
        and decision.facts.get("size_bytes") == len(torn)
        and decision.b3 == content_address(torn)
    )
