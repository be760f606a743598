"""Named points at which a node kills itself, entered from outside: production code knows nothing of them.

A trap is ``POINT`` or ``POINT/QUALIFIER``, and goes off the n-th time that the point is passed. Points of a commit are
qualified by what the transaction holds (kinds of journal records, ``PARKED``, ``HOT``), callbacks by the name of what
is called. ``kill -9`` of oneself: nothing is flushed, no ``finally`` runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import msgspec
from aiohttp.client_proto import ResponseHandler

import rco.egress.sending as egress_sending
import rco.engine.reviving as engine_reviving
import rco.store.sqlite.keeper as sqlite_keeper
from rco.datasource.outbox import OutboxReader
from rco.datasource.steps import Datasource
from rco.egress.client import Egress
from rco.egress.wire import Wire
from rco.engine.children import Children
from rco.engine.effects import Effects
from rco.engine.engine import Engine
from rco.engine.owner import Owner
from rco.engine.parking import Parking
from rco.engine.reviving import Reviving
from rco.engine.sending import Sending
from rco.engine.timing import Timers
from rco.engine.waiting import Waits
from rco.kit.ids import Ids
from rco.model.effect import EffectFailed
from rco.model.journal import Kind, decode_segment
from rco.operations import first_admin, outbox_entry
from rco.payloads.keeping import PayloadStore
from rco.store import migrate
from rco.store.contract.changes import Changes
from rco.store.sqlite.commit import Committer

__all__ = ["Trap", "plant", "set_trap"]


class Trap:
    """Kills this process when ``point`` is passed for the ``nth`` time. Safe to be asked from any thread."""

    def __init__(self, point: str, nth: int) -> None:
        self._point, self._left = point, nth
        self._lock = threading.Lock()

    def passing(self, point: str, qualifiers: Any = ()) -> None:
        name, _, qualifier = self._point.partition("/")
        if name != point or (qualifier and qualifier not in qualifiers):
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wants(self, prefix: str) -> bool:
        return self._point.startswith(prefix)


def set_trap(wanted: str) -> None:
    """Set the trap ``POINT[/QUALIFIER]:N`` in this process, before a service is built."""
    point, _, nth = wanted.rpartition(":")
    trap = Trap(point, int(nth))
    if trap.wants("call."):
        _calls(trap)
    elif trap.wants("callback"):
        _callbacks(trap)
    elif trap.wants("file."):
        _files(trap)
    elif trap.wants("engine."):
        _engine(trap)
    elif trap.wants("datasource."):
        _datasource(trap)
    elif trap.wants("outbox."):
        _outbox(trap)
    elif trap.wants("payload."):
        _payloads(trap)
    else:
        _transactions(trap)


def _before(owner: Any, name: str, see: Callable[..., None]) -> None:
    """Call ``see`` with the arguments of every call of ``owner.name``, before it."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        see(*arguments)
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, see: Callable[..., None]) -> None:
    """The same, after it came back."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        value = original(*arguments, **named)
        see(*arguments)
        return value

    setattr(owner, name, wrapped)


# -- transactions --------------------------------------------------------------------------------------------------


def _holds(changes: Changes) -> frozenset[str]:
    """What a transaction is about."""
    found = {moved.mode.name for moved in changes.moved}
    for draft in changes.drafts:
        found.update(Kind(record.kind).name for record in decode_segment(b"".join(draft.parts)))
    for admission in changes.admissions:
        if admission.opened or admission.keyed:
            found.add("START")
        if admission.event is not None:
            found.add("EVENT")
        if admission.messages:
            found.add("SENT")
    if changes.taken:
        found.add("TAKEN")
    if changes.waiters:
        found.add("WAITER")
    return frozenset(found)


def _transactions(trap: Trap) -> None:
    """``commit.`` (of the writer), ``takeover.`` and ``migrate.``, then: ``before-begin``, ``after-begin``, ``inside``
    (after any one statement), ``before-seal``, ``sealed``, ``before-commit``, ``after-commit``."""
    where = threading.local()

    class Watched(sqlite3.Cursor):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            phase, holds = getattr(where, "phase", ""), getattr(where, "holds", frozenset())
            word = sql.lstrip().split(None, 1)[0].upper() if phase else ""
            if word in ("BEGIN", "COMMIT"):
                trap.passing(f"{phase}.before-{word.lower()}", holds)
            sealing = sql.startswith("INSERT INTO seal")
            if sealing:
                trap.passing(f"{phase}.before-seal", holds)
            done = super().execute(sql, *values)
            if word in ("BEGIN", "COMMIT"):
                trap.passing(f"{phase}.after-{word.lower()}", holds)
            elif sealing:
                trap.passing(f"{phase}.sealed", holds)
            elif word in ("INSERT", "UPDATE", "DELETE", "CREATE"):
                trap.passing(f"{phase}.inside", holds)
            return done

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Watched) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *values: Any) -> Any:
            # Its own goes past ``cursor``.
            return self.cursor().execute(sql, *values)

    plain_connect = sqlite3.connect

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return plain_connect(*arguments, factory=Connection, **named)

    sqlite3.connect = connect  # type: ignore[assignment]

    def within(owner: Any, name: str, phase: str) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            where.phase = phase
            batch = arguments[-1]
            where.holds = _holds(batch.changes) if phase == "commit" else frozenset()
            try:
                return original(*arguments, **named)
            finally:
                where.phase = ""

        setattr(owner, name, wrapped)

    within(Committer, "commit", "commit")
    within(sqlite_keeper, "take_over", "takeover")
    within(migrate, "up", "migrate")


def _callbacks(trap: Trap) -> None:
    """``callback[/NAME]``: before one of what is called after a commit; those before it have run."""
    for owner, names in (
        (Owner, ("_committed", "closed")),
        (Parking, ("_parked",)),
        (Engine, ("_begin_if", "_flushed")),
        (Sending, ("_deliver_if",)),
    ):
        for name in names:
            _before(owner, name, partial(_called, trap, name))


def _called(trap: Trap, name: str, *_: Any) -> None:
    trap.passing("callback", {name})


# -- calls ---------------------------------------------------------------------------------------------------------


def _calls(trap: Trap) -> None:
    """``call.before`` leaving, ``call.sent`` into the socket, ``call.answered`` (the effect is done, its answer not
    read), ``call.read`` (the answer is here, nothing of it recorded), ``call.failed`` (nor of a failure)."""
    attempt = Egress.attempt

    async def watched_attempt(self: Egress, request: Any, attempted: Any) -> Any:
        trap.passing("call.before", {request.method})
        try:
            answer = await attempt(self, request, attempted)
        except EffectFailed:
            trap.passing("call.failed", {request.method})
            raise
        trap.passing("call.read", {request.method})
        return answer

    Egress.attempt = watched_attempt  # type: ignore[method-assign]
    read_capped = egress_sending.read_capped

    async def watched_read(response: Any, limit: int) -> bytes:
        trap.passing("call.answered", {response.method})
        return await read_capped(response, limit)

    egress_sending.read_capped = watched_read  # type: ignore[assignment]
    ask, read = Wire.ask, ResponseHandler.read
    method: ContextVar[str] = ContextVar("method", default="")

    async def watched_ask(self: Wire, asked: str, *rest: Any) -> Any:
        method.set(asked)
        return await ask(self, asked, *rest)

    async def watched_wait(self: ResponseHandler) -> Any:
        # The loop writes what it was given in this turn at the end of it.
        await asyncio.sleep(0)
        trap.passing("call.sent", {method.get()})
        return await read(self)

    Wire.ask = watched_ask  # type: ignore[method-assign]
    ResponseHandler.read = watched_wait  # type: ignore[method-assign]


# -- databases of the users' own -------------------------------------------------------------------------------------


def _datasource(trap: Trap) -> None:
    """Of a transactional step: ``claimed`` its key, ``function-done``, its result ``kept``, ``before-commit`` and
    ``after-commit`` of the user's database: the journal knows nothing of it."""
    function, keep, commit = Datasource._function, Datasource._keep, Datasource._commit

    async def watched_function(self: Datasource, *given: Any) -> Any:
        trap.passing("datasource.claimed")
        done = await function(self, *given)
        trap.passing("datasource.function-done")
        return done

    async def watched_keep(self: Datasource, *given: Any) -> bool:
        kept = await keep(self, *given)
        trap.passing("datasource.kept")
        return kept

    async def watched_commit(self: Datasource, transaction: Any) -> None:
        trap.passing("datasource.before-commit")
        await commit(self, transaction)
        trap.passing("datasource.after-commit")

    Datasource._function = watched_function  # type: ignore[method-assign]
    Datasource._keep = watched_keep  # type: ignore[method-assign]
    Datasource._commit = watched_commit  # type: ignore[method-assign]


def _outbox(trap: Trap) -> None:
    """Of a batch of an outbox: ``read``; ``entry-taken``, the store has committed what it asks for; ``taken-out``, not
    committed; ``committed``. Only batches with entries count."""
    handle, take, lane = OutboxReader._line, OutboxReader._take, OutboxReader._lane

    async def watched_line(self: OutboxReader, *given: Any) -> bool:
        stopped = await handle(self, *given)
        trap.passing("outbox.entry-taken")
        return stopped

    async def watched_take(self: OutboxReader, connection: Any, entries: Any) -> bool:
        if entries:
            trap.passing("outbox.read")
        stopped = await take(self, connection, entries)
        if entries:
            trap.passing("outbox.taken-out")
        return stopped

    async def watched_lane(self: OutboxReader, *given: Any) -> Any:
        read = await lane(self, *given)
        if read[0] is not None:
            trap.passing("outbox.committed")
        return read

    OutboxReader._line = watched_line  # type: ignore[method-assign]
    OutboxReader._take = watched_take  # type: ignore[method-assign]
    OutboxReader._lane = watched_lane  # type: ignore[method-assign]


def _payloads(trap: Trap) -> None:
    """Of a payload that goes to the object store: ``before-put``; ``put``, it is durable and nothing refers to it."""
    put = PayloadStore._put

    async def watched_put(self: PayloadStore, key: str, body: bytes) -> None:
        trap.passing("payload.before-put")
        await put(self, key, body)
        trap.passing("payload.put")

    PayloadStore._put = watched_put  # type: ignore[method-assign]


def plant(bug: str) -> None:
    """Break what the tests must find broken."""
    if bug == "step-without-record":
        gone = "DELETE FROM rco.rco_step WHERE run_id = $1 AND step_key = $2"

        async def forget(_: Datasource, connection: Any, __: Any, asked: Any, *___: Any) -> bool:
            await connection.execute(gone, *asked.key)
            return True

        Datasource._keep = forget  # type: ignore[method-assign]
    elif bug == "entries-without-identity":
        # Each reading of an entry would be another request.
        taken = outbox_entry._take

        async def anew(desk: Any, box: Any, entry: Any) -> Any:
            return await taken(desk, box, msgspec.structs.replace(entry, entry_id=Ids().ulid()))

        outbox_entry._take = anew
    elif bug == "reference-before-object":
        put = PayloadStore._put

        async def later(self: PayloadStore, key: str, body: bytes) -> None:
            asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(put(self, key, body)))

        PayloadStore._put = later  # type: ignore[method-assign]


# -- the engine ----------------------------------------------------------------------------------------------------


def _engine(trap: Trap) -> None:
    """Between what the engine does in memory and what it has committed."""
    _before(Effects, "begin", lambda _, __, op: trap.passing("engine.attempt-begins", {op.name}))
    _before(Effects, "_done", lambda _, __, op, *___: trap.passing("engine.attempt-done", {op.name}))
    _after(Effects, "_done", lambda _, __, op, *___: trap.passing("engine.end-collected", {op.name}))
    _after(Effects, "_retry", lambda *_: trap.passing("engine.retry-collected"))
    _before(Effects, "_retry_due", lambda *_: trap.passing("engine.retry-due"))
    _before(Timers, "_fire", lambda *_: trap.passing("engine.timer-due"))
    _after(Timers, "_fire", lambda *_: trap.passing("engine.timer-collected"))
    _before(Waits, "deliver", lambda _, __, message: trap.passing("engine.message-here", {message.kind}))
    _after(Waits, "deliver", lambda _, __, message: trap.passing("engine.message-collected", {message.kind}))
    _after(Children, "arm", lambda *_: trap.passing("engine.child-collected"))
    _before(Children, "_begin", lambda *_: trap.passing("engine.child-begins"))
    _after(Children, "_tell_parent", lambda _, live, *__: trap.passing("engine.parent-told") if live.parent else None)
    _before(Owner, "_close", lambda *_: trap.passing("engine.close-begins"))
    _after(Owner, "_close", lambda *_: trap.passing("engine.close-collected"))
    _after(Parking, "_park", lambda *_: trap.passing("engine.park-collected"))
    _before(Parking, "_parked", lambda *_: trap.passing("engine.parked"))
    _before(Parking, "_due", lambda *_: trap.passing("engine.wake-due"))
    _before(Reviving, "from_journal", lambda *_: trap.passing("engine.revive-begins"))
    _before(engine_reviving, "replay", lambda *_: trap.passing("engine.journal-read"))
    _after(engine_reviving, "replay", lambda *_: trap.passing("engine.replayed"))
    if trap.wants("engine.parent-late"):
        _late_parents(trap)


def _late_parents(trap: Trap) -> None:
    """``engine.parent-late``: the child's end is committed before its parent is driven on. That order is rare by
    itself: it takes a commit that ends in the same turn of the loop."""
    drive = Children._drive

    def late(self: Children, parent: Any) -> None:
        if parent.ending or parent.committed == parent.seq:
            trap.passing("engine.parent-late")
            drive(self, parent)
        else:
            self._owner.loop.call_later(0.001, late, self, parent)

    Children._drive = late  # type: ignore[method-assign]


# -- files of the first start --------------------------------------------------------------------------------------


def _files(trap: Trap) -> None:
    """``file.before-token``; ``file.token``: it is in its file, its digest not yet in the store. ``file.key``: the key
    file is there, and nothing is in it yet."""
    fdopen = os.fdopen

    def watched(*arguments: Any, **named: Any) -> Any:
        if sys._getframe(1).f_code.co_name == "kept_key":
            trap.passing("file.key")
        return fdopen(*arguments, **named)

    os.fdopen = watched  # type: ignore[assignment]
    _before(first_admin, "_write_token", lambda *_: trap.passing("file.before-token"))
    _after(first_admin, "_write_token", lambda *_: trap.passing("file.token"))
