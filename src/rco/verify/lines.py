"""The three formats as this checker reads them. Fields it has no use for are skipped; a missing one is an error."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "FORMAT",
    "Asked",
    "End",
    "ExportLine",
    "Header",
    "KeptPayload",
    "KeyLine",
    "Lease",
    "LedgerLine",
    "Link",
    "Node",
    "RecordLine",
    "RunLine",
    "SegmentLine",
    "Unread",
]

FORMAT = "rco-export/1"


class Head(msgspec.Struct, frozen=True):
    n: int
    hash: str


class ChainHead(msgspec.Struct, frozen=True):
    chain: str
    n: int
    hash: str


class Header(msgspec.Struct, frozen=True, tag_field="line", tag="header"):
    """The first line of an export. ``chains`` are all there are, each with its last link."""

    format: str
    at_us: int
    payloads: bool
    head: Head
    chains: list[ChainHead] = []


class Lease(msgspec.Struct, frozen=True, tag_field="line", tag="lease"):
    """Who owns a range of shards."""

    first: int
    last: int
    owner: str | None
    epoch: int


class Node(msgspec.Struct, frozen=True, tag_field="line", tag="node"):
    """A node, and when it took over."""

    name: str
    epoch: int
    started_us: int


class Link(msgspec.Struct, frozen=True, tag_field="line", tag="link"):
    """One commit: a link of the chain. ``decisions`` is the text that was hashed."""

    n: int
    writer: str
    epoch: int
    at_us: int
    prev: str
    hash: str
    leaves: list[str]
    decisions: str
    chain: str = ""


class KeyLine(msgspec.Struct, frozen=True, tag_field="line", tag="namespace_key"):
    """A namespace's key. ``wrapped``: encrypted under the root key ``root_kid``; empty where it is erased."""

    namespace: str
    key_id: str
    root_kid: str
    wrapped: bytes = b""
    erased: bool = False


class RunLine(msgspec.Struct, frozen=True, tag_field="line", tag="run"):
    """A run; its segments, records and unread messages follow."""

    id: str
    workflow: str
    state: str
    opened_us: int
    namespace: str = "default"
    outcome: str | None = None
    closed_us: int | None = None
    key: str | None = None
    due_us: int | None = None
    version: str | None = None
    segments: int = 0
    unread: int = 0


class KeptPayload(msgspec.Struct, frozen=True):
    """A payload as the object store keeps it, and its digest."""

    name: str
    b3: str
    data: bytes


class SegmentLine(msgspec.Struct, frozen=True, tag_field="line", tag="segment"):
    """What one commit added to a run's journal. ``data`` are its bytes, where the export holds them."""

    run: str
    first_seq: int
    records: int
    n: int
    leaf: str
    data: bytes | None = None
    chain: str = ""
    payloads: list[KeptPayload] = []
    """What it refers to in the object store, where the export holds that."""
    encrypted: str = ""
    """The id of the key that it is encrypted with: its records are not in the export."""


class RecordLine(msgspec.Struct, frozen=True, tag_field="line", tag="record"):
    """One journal record."""

    run: str
    seq: int
    n: int
    at_us: int
    kind: str
    key: str
    fp: str
    body: dict[str, Any]
    payload: dict[str, dict[str, Any]] = {}
    chain: str = ""


class Unread(msgspec.Struct, frozen=True, tag_field="line", tag="unread"):
    """A message that its run has not taken yet."""

    run: str
    message_id: str
    kind: str = "signal"
    name: str = ""


class End(msgspec.Struct, frozen=True, tag_field="line", tag="end"):
    """The last line: how much there was."""

    runs: int
    segments: int
    records: int
    messages: int
    links: int


ExportLine = Header | Lease | Node | KeyLine | Link | RunLine | SegmentLine | RecordLine | Unread | End


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the client and what it was told: a line of the client's log.

    ``name`` is what makes a repeat recognisable: the start key, the message id, the delivery id.
    """

    kind: str
    outcome: Literal["acknowledged", "refused", "unknown"]
    name: str = ""
    run_id: str = ""
    workflow: str = ""
    namespace: str = "default"
    created: bool | None = None
    """Of an acknowledged start: whether this asking opened the run."""
    workflows: list[str] = []
    """Of a delivery: which runs it must start, each once."""
    state: str | None = None
    """Of a read: the state that was seen, ``missing`` for none."""
    values: dict[str, Any] = {}
    """Of a read: published values that were seen, by name; null: not set."""
    began_us: int | None = None
    ended_us: int | None = None


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the target's own ledger: a request ``seen``, ``answered``, or an ``effect`` that it had."""

    kind: Literal["seen", "answered", "effect", "done"]
    at_us: int | None = None
    key: str = ""
    target: str = ""
    id: str = ""
    """Joins ``seen`` and ``answered``."""
    effect: str | None = None
    """Of a ``done`` line: what was done, empty for nothing. An ``effect`` line needs none."""
