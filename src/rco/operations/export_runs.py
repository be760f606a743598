"""Export runs and journals in a form that others can read: ``rco-export/1`` (docs/reference/export-format.md)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from rco.audit.link import GENESIS, heads_hash, leaf_digest
from rco.encryption.cipher import count_of, is_encrypted, key_id_of
from rco.errors import EvidenceBroken
from rco.kit.digest import DIGEST_BYTES
from rco.kit.ids import id_text
from rco.model.journal import decode_segment
from rco.model.payload import Reference, plain
from rco.operations.export_lines import jsonable, payload, record_line
from rco.operations.view import state_of
from rco.payloads.segments import references_of
from rco.store.contract.reader import Segment
from rco.store.contract.snapshot import History, Snapshot
from rco.store.contract.writer import Seal

__all__ = ["FORMAT", "Counts", "export_runs"]

FORMAT = "rco-export/1"
PAGE_SEALS = 64
_encode = msgspec.json.Encoder().encode


class Counts(msgspec.Struct):
    """What an export held, for its last line and for who made it."""

    runs: int = 0
    segments: int = 0
    records: int = 0
    messages: int = 0
    links: int = 0


def export_runs(
    snapshot: Snapshot,
    *,
    at_us: int,
    version: str,
    payloads: bool = False,
    wrapped_keys: bool = False,
    counts: Counts | None = None,
    fetch: Callable[[Reference], bytes] | None = None,
) -> Iterator[bytes]:
    """Lines, each with its line feed: header, leases, nodes, the links of each chain, then every run with its journal
    and its unread messages, and a last line that counts them.

    ``wrapped_keys``: with the keys of namespaces as the store has them, encrypted under root keys that are elsewhere.
    Such an export can be looked into by who has those, also when the store has erased the keys.

    Blocks; holds one run's journal in memory. ``counts`` is filled as it goes. ``fetch``: gives the bytes of payloads
    that are in the object store, to be put in beside the segments that refer to them. Raises ``EvidenceBroken`` when a
    journal segment cannot be decoded.
    """
    counts = counts if counts is not None else Counts()
    chains = snapshot.chains()
    heads = [(chain, snapshot.head(chain)) for chain in chains]
    yield _line(
        line="header",
        format=FORMAT,
        at_us=at_us,
        version=version,
        schema=snapshot.schema(),
        payloads=payloads,
        head=_head(heads),
        chains=[{"chain": chain, **_end(head)} for chain, head in heads],
    )
    for lease in snapshot.leases():
        yield _line(line="lease", **msgspec.structs.asdict(lease))
    for node in snapshot.nodes():
        yield _line(line="node", **msgspec.structs.asdict(node))
    for key in snapshot.namespace_keys() if wrapped_keys else ():
        yield _line(
            line="namespace_key",
            namespace=key.namespace,
            key_id=key.key_id.hex(),
            root_kid=key.root_kid,
            wrapped=base64.b64encode(key.wrapped).decode(),
            erased=key.erased_us is not None,
        )
    for chain in chains:
        for link in _links(snapshot, chain):
            counts.links += 1
            yield link
    for history in snapshot.histories():
        yield from _run(history, payloads, counts, fetch)
    yield _line(line="end", **msgspec.structs.asdict(counts))


def _line(**fields: Any) -> bytes:
    return _encode(fields) + b"\n"


def _end(head: Seal | None) -> dict[str, Any]:
    return {"n": head.n if head else 0, "hash": (head.hash if head else GENESIS).hex()}


def _head(heads: list[tuple[str, Seal | None]]) -> dict[str, Any]:
    """Of one chain its last link; of several how many links there are, and one hash over their ends."""
    if len(heads) <= 1:
        return _end(heads[0][1] if heads else None)
    total = sum(head.n for _, head in heads if head is not None)
    return {"n": total, "hash": heads_hash((chain, head.hash if head else GENESIS) for chain, head in heads).hex()}


def _links(snapshot: Snapshot, chain: str) -> Iterator[bytes]:
    at = 0
    while page := snapshot.seals(at, PAGE_SEALS, chain):
        for seal in page:
            yield _link(seal, chain)
        at = page[-1].n + 1


def _link(seal: Seal, chain: str) -> bytes:
    leaves = seal.leaves.hex()
    step = 2 * DIGEST_BYTES
    return _line(
        line="link",
        chain=chain,
        n=seal.n,
        writer=seal.writer,
        epoch=seal.epoch,
        at_us=seal.at_us,
        prev=seal.prev.hex(),
        hash=seal.hash.hex(),
        leaves=[leaves[at : at + step] for at in range(0, len(leaves), step)],
        # As text: what is hashed are these bytes, and another encoder might write the same JSON otherwise.
        decisions=seal.decisions.decode(),
    )


def _run(
    history: History, payloads: bool, counts: Counts, fetch: Callable[[Reference], bytes] | None
) -> Iterator[bytes]:
    row, segments, messages = history.row, history.segments, history.messages
    run = id_text(row.run_id)
    said: dict[str, Any] = {
        "line": "run",
        "id": run,
        "namespace": row.namespace,
        "workflow": row.workflow,
        "version": row.version,
        "state": state_of(row),
        "opened_us": row.opened_us,
        "closed_us": row.closed_us,
        "outcome": row.outcome.value if row.outcome is not None else None,
        "key": row.key,
        "parent": id_text(row.parent) if row.parent is not None else None,
        "corr_id": row.corr_id,
        "due_us": None if row.outcome is not None else history.due_us,
        "segments": len(segments),
        "unread": len(messages),
    }
    if row.detail is not None:
        said["detail"] = payload(msgspec.json.decode(row.detail), payloads)
    yield _line(**said)
    counts.runs += 1
    for segment in segments:
        yield from _segment(run, segment, payloads, counts, fetch)
    for message in messages:
        counts.messages += 1
        yield _line(
            line="unread",
            run=run,
            message_id=message.message_id,
            kind=message.kind,
            name=message.name,
            at_us=message.at_us,
            payload={"value": _body(message.body, payloads)},
        )


def _body(body: bytes, payloads: bool) -> dict[str, Any]:
    return payload(body if is_encrypted(body) else plain(body), payloads)


def _encrypted(run: str, segment: Segment, payloads: bool) -> bytes:
    """A segment that nobody may read: how many records it holds, and its bytes as they are sealed. No export decrypts
    anything, so none outlives an erased key."""
    said: dict[str, Any] = {
        "line": "segment",
        "run": run,
        "first_seq": segment.first_seq,
        "records": count_of(segment.data),
        "chain": segment.chain,
        "n": segment.n,
        "leaf": leaf_digest(segment.run_id, segment.first_seq, segment.data).hex(),
        "encrypted": key_id_of(segment.data).hex(),
    }
    if payloads:
        said["data"] = base64.b64encode(segment.data).decode()
    return _line(**said)


def _segment(
    run: str, segment: Segment, payloads: bool, counts: Counts, fetch: Callable[[Reference], bytes] | None
) -> Iterator[bytes]:
    if is_encrypted(segment.data):
        yield _encrypted(run, segment, payloads)
        counts.segments += 1
        return
    try:
        records = decode_segment(segment.data)
    except (ValueError, msgspec.DecodeError) as problem:
        raise EvidenceBroken(
            f"segment {segment.first_seq} of run {run} cannot be decoded: {problem}.",
            cure="Restore a backup; rco audit export shows the bytes.",
        ) from None
    said: dict[str, Any] = {
        "line": "segment",
        "run": run,
        "first_seq": segment.first_seq,
        "records": len(records),
        "chain": segment.chain,
        "n": segment.n,
        "leaf": leaf_digest(segment.run_id, segment.first_seq, segment.data).hex(),
    }
    if payloads:
        said["data"] = base64.b64encode(segment.data).decode()
    if fetch is not None and (found := references_of(segment.data)):
        said["payloads"] = [
            {**jsonable(one)["$payload"], "data": base64.b64encode(fetch(one)).decode()} for one in found
        ]
    yield _line(**said)
    counts.segments += 1
    for place, record in enumerate(records):
        counts.records += 1
        yield _line(**record_line(run, segment.first_seq + place, segment, record, payloads))
