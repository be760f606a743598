"""What one transaction writes.

The owner of runs adds to the ``Changes`` that its writer is collecting; all that is added without an ``await`` in
between is committed together or not at all. Plain lists of plain tuples: this is the hot path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.model.decision import Decision
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.run import Mode, Outcome, RunRow
from rco.model.staged import StagedObject
from rco.store.contract.attributes import AttributeChange
from rco.store.contract.payloads import PayloadUse
from rco.store.contract.queues import ItemChange, QueueState
from rco.store.contract.schedules import ScheduleWrite

__all__ = ["Admission", "Admitted", "Changes", "Claim", "Draft", "Ended", "Moved", "StartKey", "Waiter"]


class Draft:
    """The segment of one run's journal that is being collected: one row when it is flushed."""

    __slots__ = ("first_seq", "namespace", "parts", "records", "run_id")

    def __init__(self, run_id: bytes, first_seq: int, namespace: str = "default") -> None:
        self.run_id = run_id
        self.namespace = namespace
        self.first_seq = first_seq
        self.parts: list[bytes] = []
        """Pieces of the segment: joined, they are its bytes."""
        self.records = 0


class Moved(msgspec.Struct, frozen=True, gc=False):
    """An open run changes its mode. ``due_us`` is when a parked run must be woken at the latest."""

    run_id: bytes
    mode: Mode
    due_us: int | None = None
    detail: bytes | None = None
    namespace: str = "default"
    """The run's: whose payload the detail is."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A run closes. Its row leaves the open runs, its waits are removed, and its unread messages are no longer
    delivered; signals among them stay to be listed."""

    run_id: bytes
    outcome: Outcome
    closed_us: int
    detail: bytes | None = None
    namespace: str = "default"


class Waiter(msgspec.Struct, frozen=True, gc=False):
    """A run waits for an event. Events that match and were received since ``since_us`` count as well."""

    run_id: bytes
    key: str
    namespace: str
    type: str
    subject: str | None
    since_us: int


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The right to accept a delivery, given once: ``digest`` is unique until ``expires_us``."""

    digest: bytes
    corr_id: str
    expires_us: int


class StartKey(msgspec.Struct, frozen=True, gc=False):
    """An idempotency key of a start. The same key with the same ``request`` digest is the same run."""

    namespace: str
    key: str
    request: bytes
    run_id: bytes


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """What became of an admission.

    ``status``: ``accepted``; ``duplicate`` (``corr_id`` of the first delivery, or ``run_id`` of the first start);
    ``conflict`` (the start key stands for another request, ``run_id`` says which run); ``closed`` (a message's run is
    not open); ``stale`` (a schedule is not at the revision expected, or its name is taken); ``quota`` (a namespace has
    no room for it, see ``quota``, ``namespace`` and ``retry_after_s``). Nothing of the admission was written unless it
    was accepted, except the decision that goes with it.
    """

    status: str
    corr_id: str = ""
    run_id: bytes = b""
    skipped: tuple[bytes, ...] = ()
    """Run ids of ``keyed`` that were not opened because their key was held."""
    quota: str = ""
    """The quota that is used up, or ``closed``."""
    namespace: str = ""
    retry_after_s: float = 0.0
    """After this there may be room again; 0: time alone does not help."""


class Admission(msgspec.Struct, kw_only=True):
    """Something from outside that is written only if its conditions hold, together with all that follows from it.

    Order of the conditions: the claim, the start keys, the runs of the messages, the schedules, the quotas. ``done`` is
    called on the writer's loop after the commit, or ``failed`` with the error when the transaction could not be
    committed.
    """

    done: Callable[[Admitted], None]
    failed: Callable[[BaseException], None]
    claim: Claim | None = None
    start_keys: list[StartKey] = []
    event: Event | None = None
    opened: list[tuple[RunRow, bytes]] = []
    """Runs to open, each with its first segment (the START record)."""
    keyed: list[tuple[StartKey, RunRow, bytes, Decision]] = []
    """Runs that are opened, and decided on, only if their key is free; a held key does not refuse the admission."""
    messages: list[Message] = []
    letters: list[DeadLetter] = []
    schedules: list[ScheduleWrite] = []
    """Each schedule at most once."""
    staged: StagedObject | None = None
    """A small object that goes with it. Handed over with its transaction as ``payloads`` are: refused, it is put and
    nobody is told so."""
    payloads: list[PayloadUse] = []
    """What it refers to. Who submits it hands them over with its transaction, whether it is accepted or not: a use by
    what never came to be counts for nothing."""
    accepted: list[Decision] = []
    duplicate: list[Decision] = []
    otherwise: list[Decision] = []
    """Decisions for conflict, closed and stale."""


class Changes:
    """Everything one transaction writes. Lists are in the order of adding."""

    __slots__ = (
        "admissions",
        "attributes",
        "decisions",
        "drafts",
        "ended",
        "events",
        "homes",
        "letters",
        "letters_replayed",
        "lost",
        "messages",
        "moved",
        "opened",
        "opened_segments",
        "payloads",
        "queues",
        "records",
        "size_bytes",
        "staged",
        "start_keys",
        "taken",
        "then",
        "versions",
        "waiters",
        "waiters_gone",
    )

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        """Journal segments of runs this node owns."""
        self.homes: dict[bytes, int] = {}
        """The shards of runs in pools that this node writes to as their owner. Of others the identity says it."""
        self.opened: list[RunRow] = []
        """Children (their START records come as drafts) and runs that an emitted event starts."""
        self.opened_segments: list[tuple[bytes, bytes]] = []
        """(run id, first segment) of runs that begin only after this commit; ``first_seq`` is 0."""
        self.ended: list[Ended] = []
        self.moved: list[Moved] = []
        self.versions: list[tuple[bytes, str]] = []
        """(run id, version) of runs that go on with another version; a VERSION record of theirs is in a draft."""
        self.start_keys: list[StartKey] = []
        """Keys known to be free (of children); admissions bring their own."""
        self.messages: list[Message] = []
        """For runs that may be anywhere; dropped when the run is not open. The keeper adds one of kind ``HANDED`` for
        each run that is opened in, or moved to, a pool whose shard another node owns."""
        self.taken: list[tuple[bytes, str]] = []
        """(run id, message id) of messages whose taking is in a draft."""
        self.waiters: list[Waiter] = []
        self.waiters_gone: list[tuple[bytes, str]] = []
        self.events: list[Event] = []
        """Emitted events. A matching waiter gets a message in the same transaction."""
        self.letters: list[DeadLetter] = []
        self.letters_replayed: list[tuple[bytes, int]] = []
        self.attributes: list[AttributeChange] = []
        self.payloads: list[PayloadUse] = []
        """Objects that rows of this transaction refer to."""
        self.staged: list[StagedObject] = []
        """Small objects whose bytes are kept in the database until they are moved."""
        self.queues: list[ItemChange | QueueState] = []
        """Changes to items of queues, and queues that are paused or resumed."""
        self.decisions: list[Decision] = []
        self.admissions: list[Admission] = []
        self.then: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        """Called in order on the writer's loop after the commit."""
        self.lost: list[Callable[[BaseException], None]] = []
        """Called with the error instead of ``then``, when the transaction could not be committed."""
        self.records = 0
        """Journal records and rows so far, for the bound on one flush."""
        self.size_bytes = 0
