"""The reading side of a keeper, by family. Reads see committed state and never wait for the writer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from rco.model.attribute import AttributeFilter
from rco.model.event import Event
from rco.model.journal import Record, decode_segment
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.principal import Principal
from rco.model.run import Mode, Outcome, RunRow
from rco.store.contract.attributes import AttributeReader
from rco.store.contract.cursors import Cursors
from rco.store.contract.endpoints import Endpoints
from rco.store.contract.limit_states import LimitStates
from rco.store.contract.namespace_keys import NamespaceKeys
from rco.store.contract.namespaces import Namespaces
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.payloads import PayloadRows
from rco.store.contract.queues import QueueReader
from rco.store.contract.revocations import Revocations
from rco.store.contract.schedules import ScheduleReader
from rco.store.contract.staging import StagedRows
from rco.store.contract.versions import Versions
from rco.store.contract.writer import Seal

__all__ = [
    "AuditReader",
    "EventMark",
    "EventReader",
    "JournalReader",
    "LetterReader",
    "MessageReader",
    "Principals",
    "Reader",
    "RunFilter",
    "RunReader",
    "Segment",
    "TimerReader",
    "records_of",
]


EventMark = tuple[int, int]
"""When an event was received, and its place among those of the same microsecond: no two events have the same."""


class Segment(msgspec.Struct, frozen=True):
    """One stored journal row. ``n`` is the commit that wrote it, in ``chain``."""

    run_id: bytes
    first_seq: int
    n: int
    data: bytes
    chain: str = ""
    """Empty where there is only one."""


def records_of(segments: Iterable[Segment], *, stored: bool = False) -> list[Record]:
    """The records of a run's segments, as ``decode_segment`` gives them."""
    return [record for segment in segments for record in decode_segment(segment.data, stored=stored)]


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list, newest first. ``after`` is the last run id of the page before."""

    namespace: str = "default"
    workflow: str | None = None
    mode: Mode | None = None
    outcome: Outcome | None = None
    corr_id: str | None = None
    opened_from_us: int | None = None
    opened_to_us: int | None = None
    """Opened before this; ``opened_from_us`` itself is within."""
    code: str | None = None
    """The code of the error it closed with, or the cause for which it is blocked, in doubt or paused."""
    text: str | None = None
    """Stands in what it closed with or waits for, in its key or in its correlation id; A to Z as a to z."""
    version: str | None = None
    """As it stands in the row, see ``rco.model.version``."""
    open_only: bool = False
    """Without the closed ones."""
    attributes: tuple[AttributeFilter, ...] = ()
    """Each must hold."""
    users_only: bool = False
    """Without the service's own runs, whose workflows begin with ``rco.``."""
    ids: tuple[bytes, ...] | None = None
    """These runs alone."""
    after: bytes | None = None
    limit: int = 50


class RunReader(Protocol):
    async def run(self, run_id: bytes) -> RunRow | None:
        """The run, open or closed, or ``None``."""
        ...

    async def runs(self, where: RunFilter) -> list[RunRow]: ...

    async def count_runs(self, where: RunFilter) -> int:
        """How many runs ``runs`` would give without its limit. A look at each of them."""
        ...

    async def open_runs(
        self, mode: Mode, after: bytes | None, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[RunRow]:
        """Open runs in ``mode`` by id upwards, of ``shards`` (``None``: all), for an owner that loads them. Runs that
        are pinned to a version outside of ``pool`` are left out; of those within, its shards count instead. Without a
        pool it is not looked at what they are pinned to."""
        ...

    async def count_open(self) -> dict[Mode, int]: ...

    async def key_holder(self, namespace: str, key: str) -> bytes | None:
        """The run that a start key stands for."""
        ...

    async def forks(self, namespace: str, run_id: bytes, limit: int) -> list[bytes]:
        """Runs that were forked from this one: those whose start keys begin with ``fork_prefix`` of it, by key."""
        ...


class JournalReader(Protocol):
    async def journal(self, run_id: bytes) -> list[Segment]:
        """The run's segments in order. Empty when it never was or retention dropped it."""
        ...

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        """Segments written by the commits ``first_n`` to ``last_n`` of a chain, for export."""
        ...


class TimerReader(Protocol):
    async def due(
        self, before_us: int, limit: int, shards: Shards | None = None, pool: Pooled | None = None
    ) -> list[tuple[int, bytes]]:
        """(due_us, run id) of parked runs of ``shards`` due before ``before_us``, soonest first: all there are up to
        ``limit``, for an owner that takes fewer as a sign that there are no more. Runs that are pinned to a version
        outside of ``pool`` are left out: they would be due for ever."""
        ...


class MessageReader(Protocol):
    async def messages(self, run_id: bytes) -> list[Message]:
        """Messages not yet taken, in the order of their arrival; of a closed run the signals it never took."""
        ...


class EventReader(Protocol):
    async def event(self, namespace: str, event_id: str, source: str | None = None) -> Event | None:
        """The newest one of that identity, of ``source`` where one is given."""
        ...

    async def events(
        self, namespace: str, type: str | None, after: EventMark | None, limit: int
    ) -> list[tuple[EventMark, Event]]:
        """Events, newest first, each with its mark; ``after`` is the mark of the last one of the page before."""
        ...


class LetterReader(Protocol):
    async def letter(self, letter_id: bytes) -> DeadLetter | None: ...

    async def letters(self, namespace: str, replayed: bool, limit: int, after: bytes | None = None) -> list[DeadLetter]:
        """Dead letters, newest first: those that wait, or those that were sent again. ``after`` is the id of the last
        one of the page before."""
        ...


class AuditReader(Protocol):
    """``chain`` empty stands for the only chain there is; where there are several, that raises ``StoreError``."""

    async def chains(self) -> list[str]:
        """Names of the chains there are, in order; one for each connection that writes. ``[""]`` where there can be no
        more than one."""
        ...

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        """Links of a chain from ``first_n`` upwards."""
        ...

    async def head(self, chain: str = "") -> Seal | None:
        """The newest link of a chain."""
        ...


class Principals(Protocol):
    async def principal(self, token_digest: bytes) -> Principal | None: ...

    async def principals(self) -> list[Principal]: ...

    async def add_principal(self, principal: Principal, token_digest: bytes) -> None:
        """Idempotent by ``principal_id``: a second call replaces all there is of it."""
        ...

    async def found_principal(self, principal: Principal, token_digest: bytes) -> bool:
        """Add it if there is none of its ``principal_id``; whoever asks first, of all nodes, has it. Returns whether
        this token is the one that stands. A second call with the same token is true again."""
        ...

    async def drop_principal(self, principal_id: str) -> None:
        """Its token is worth nothing any more. Of one that is not there it changes nothing."""
        ...


class Reader(
    RunReader,
    JournalReader,
    TimerReader,
    MessageReader,
    EventReader,
    LetterReader,
    ScheduleReader,
    QueueReader,
    AttributeReader,
    AuditReader,
    Principals,
    Revocations,
    Namespaces,
    Versions,
    LimitStates,
    NamespaceKeys,
    Cursors,
    Endpoints,
    PayloadRows,
    StagedRows,
    Protocol,
):
    """All families together: what ``app`` hands out, each room taking the part it needs."""
