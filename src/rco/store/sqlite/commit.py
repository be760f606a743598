"""The SQL of one transaction: a batch of changes in, a link of the chain and the fate of each admission out."""

from __future__ import annotations

import sqlite3
from typing import Any

from rco.errors import Fenced
from rco.kit.clock import Clock
from rco.model.message import BEGIN, Message
from rco.model.run import Mode
from rco.store import rows
from rco.store.collector import Batch, Committed
from rco.store.contract.changes import Admitted, Changes
from rco.store.contract.writer import Flushed, Sealer
from rco.store.judge import added, asked_runs, judge
from rco.store.quota import asked_spaces, spend
from rco.store.sqlite import attributes, match, namespaces, payloads, queues, schedules, staging, versions
from rco.store.sqlite.admit import look_up, open_among
from rco.store.sqlite.bulk import Bulk
from rco.store.sqlite.sweep import ClaimSweep

__all__ = ["Committer"]

_PAIRS = 64
_JOURNAL = Bulk("INSERT INTO journal (place, run_id, first_seq, n, data) VALUES ", "(?,?,?,?,?)")
_OPEN = Bulk(f"INSERT INTO run ({rows.RUN_COLUMNS}) VALUES ", "(?,?,?,?,?,?,?,?,?,?)")
_MOVE = Bulk(
    "UPDATE run SET mode = m.column2, detail = m.column3 FROM (VALUES ",
    "(?,?,?)",
    ") AS m WHERE run.run_id = m.column1",
)
_CLOSE = Bulk(
    "INSERT INTO closed_run (run_id, namespace, workflow, version, key, parent, corr_id, opened_us, closed_us, outcome,"
    " detail) SELECT r.run_id, r.namespace, r.workflow, r.version, r.key, r.parent, r.corr_id, r.opened_us, e.column2,"
    " e.column3, e.column4 FROM (VALUES ",
    "(?,?,?,?)",
    ") AS e CROSS JOIN run AS r ON r.run_id = e.column1",
)
_LEAVE = {
    table: Bulk(f"DELETE FROM {table} WHERE run_id IN (VALUES ", "(?)", ")")
    for table in ("run", "timer", "message", "waiter")
}
_UNREAD = Bulk(
    "INSERT OR IGNORE INTO unread SELECT run_id, message_id, kind, name, at_us, arrival, body FROM message"
    " WHERE kind = 'signal' AND run_id IN (VALUES ",
    "(?)",
    ")",
)
_TIMERS = Bulk("INSERT OR REPLACE INTO timer (run_id, due_us) VALUES ", "(?,?)")
# A key of a child is free, or it is the same child's from before: either way the first stands.
_START_KEYS = Bulk("INSERT OR IGNORE INTO start_key (namespace, key, request, run_id) VALUES ", "(?,?,?,?)")
_CLAIMS = Bulk("INSERT OR REPLACE INTO claim (digest, corr_id, expires_us) VALUES ", "(?,?,?)")
_MESSAGES = Bulk(
    "INSERT OR IGNORE INTO message (run_id, message_id, kind, name, at_us, arrival, body) VALUES ", "(?,?,?,?,?,?,?)"
)
# Pairs stand in OR, each of which is a search by key; as (a, b) IN (VALUES ...) SQLite would scan the table.
_TAKEN = Bulk("DELETE FROM message WHERE ", "(run_id = ? AND message_id = ?)", between=" OR ", largest=_PAIRS)
_WAITERS = Bulk(
    "INSERT OR IGNORE INTO waiter (run_id, key, namespace, type, subject_match, since_us) VALUES ", "(?,?,?,?,?,?)"
)
_WAITERS_GONE = Bulk("DELETE FROM waiter WHERE ", "(run_id = ? AND key = ?)", between=" OR ", largest=_PAIRS)
_EVENTS = Bulk(f"INSERT INTO event ({rows.EVENT_COLUMNS}) VALUES ", "(?,?,?,?,?,?,?,?,?,?,?)")
_LETTERS = Bulk(f"INSERT INTO dead_letter ({rows.LETTER_COLUMNS}) VALUES ", "(?,?,?,?,?,?,?)")
_REPLAYED = Bulk(
    "UPDATE dead_letter SET replayed_us = m.column2 FROM (VALUES ",
    "(?,?)",
    ") AS m WHERE dead_letter.letter_id = m.column1",
)
# The fence stands in the same statement: under a lease of another epoch no link is written, and nothing is committed.
_SEAL = (
    f"INSERT INTO seal ({rows.SEAL_COLUMNS}, first_place) SELECT ?,?,?,?,?,?,?,?,?"
    " WHERE NOT EXISTS (SELECT 1 FROM lease WHERE epoch <> ?)"
)
_FIRST = bytes(32)
_COUNTED = ("message", "timer", "waiter")


class Committer:
    """Writes batches, one transaction each, under one epoch. Lives in the writer's thread."""

    def __init__(
        self, connection: sqlite3.Connection, *, sealer: Sealer, clock: Clock, writer: str, epoch: int
    ) -> None:
        """Reads the head of the chain and what the tables hold. Raises ``sqlite3.Error``."""
        self._connection = connection
        self._cursor = connection.cursor()
        self._sealer, self._clock, self._writer, self._epoch = sealer, clock, writer, epoch
        head = connection.execute(
            "SELECT n, hash, first_place + length(leaves) / 32 FROM seal ORDER BY n DESC LIMIT 1"
        ).fetchone()
        self._n: int = head[0] if head else 0
        self._prev: bytes = head[1] if head else _FIRST
        self._place: int = head[2] if head else 1
        self._sweep = ClaimSweep()
        self.watched: frozenset[str] = frozenset()
        """Namespaces whose quotas are asked. Replaced whole, from another thread."""
        # Known sizes let most commits skip the statements that would find nothing.
        self._held = {
            table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in _COUNTED
        }

    def commit(self, batch: Batch) -> Committed:
        """Write the batch or nothing of it. May be called again with the same batch after an error.

        Raises ``Fenced`` when a newer owner has taken over, ``sqlite3.Error`` for what SQLite refuses, and whatever a
        malformed value brings.
        """
        started = self._clock.monotonic()
        held = self._held.copy()
        cursor = self._cursor
        cursor.execute("BEGIN IMMEDIATE")
        try:
            work = _Work(
                cursor, batch, self._held, self._sweep, self.watched, n=self._n + 1, at_us=self._clock.now_us()
            )
            leaves = work.write(self._sealer, self._place)
            seal = self._sealer.seal(
                writer=self._writer,
                n=work.n,
                epoch=self._epoch,
                at_us=work.at_us,
                prev=self._prev,
                leaves=leaves,
                decisions=work.decisions,
            )
            cursor.execute(_SEAL, (*rows.seal_values(seal), self._place, self._epoch))
            if cursor.rowcount != 1:
                raise Fenced(
                    f"The database has a newer owner than epoch {self._epoch}.",
                    cure="Stop this process; the newer one goes on with its runs.",
                )
            cursor.execute("COMMIT")
        except BaseException:
            self._held = held
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._n, self._prev, self._place = seal.n, seal.hash, self._place + len(leaves) // 32
        took_s = self._clock.monotonic() - started
        flushed = Flushed(work.n, work.records, work.size_bytes, took_s, work.told(), len(work.decisions))
        return Committed(work.admitted, work.refused, flushed)


class _Work:
    """One transaction while it is being written."""

    def __init__(
        self,
        cursor: sqlite3.Cursor,
        batch: Batch,
        held: dict[str, int],
        sweep: ClaimSweep,
        watched: frozenset[str],
        *,
        n: int,
        at_us: int,
    ) -> None:
        self._cursor, self._batch, self._held, self._sweep = cursor, batch, held, sweep
        self._watched = watched
        self.n, self.at_us = n, at_us
        self.records = self.size_bytes = 0
        self.decisions = batch.changes.decisions.copy()
        self.admitted: list[Admitted] = []
        self.refused: list[Exception | None] = []
        self.woken: dict[bytes, int] = {}
        """Runs that got a message, and how many."""
        self._turns: list[bytes] = []
        self._opened = batch.changes.opened
        self._starts = batch.changes.opened_segments.copy()
        self._events = batch.changes.events
        self._letters = batch.changes.letters
        self._keys = batch.changes.start_keys
        self._messages = batch.changes.messages

    def write(self, sealer: Sealer, place: int) -> bytes:
        """Everything but the link itself, the journal from ``place`` on. Returns the leaves of the link."""
        changes = self._batch.changes
        if changes.admissions:
            self._admit(changes)
        elif self._messages:
            stay = open_among(self._cursor, {message.run_id for message in self._messages}, changes)
            self._messages = [message for message in self._messages if message.run_id in stay]
        if self._watched and not changes.admissions and (changes.opened or changes.events or changes.payloads):
            spaces = namespaces.look_up(self._cursor, asked_spaces(changes, self._watched), self.at_us)
            spend(spaces, changes, self.at_us)
            namespaces.save(self._cursor, spaces)
        leaves = self._journal(changes, sealer, place)
        self._runs(changes)
        self._inbox(changes)
        if changes.ended:
            self._end(changes)
        self._rest(changes)
        self.decisions += self._batch.notes
        return leaves

    def _admit(self, changes: Changes) -> None:
        waiting = asked_runs(changes)
        waiting.update(message.run_id for message in self._messages)
        stay = open_among(self._cursor, waiting, changes)
        messages = [message for message in self._messages if message.run_id in stay]
        held = look_up(self._cursor, changes, stay, self.at_us)
        if self._watched:
            held.spaces = namespaces.look_up(self._cursor, asked_spaces(changes, self._watched), self.at_us)
        self.admitted = judge(changes, held, self.at_us)
        if held.spaces:
            namespaces.save(self._cursor, held.spaces)
        more = added(changes, self.admitted)
        if more.claims:
            _CLAIMS.run(
                self._cursor,
                [part for one in more.claims for part in (bytearray(one.digest), one.corr_id, one.expires_us)],
            )
            self._sweep.accepted(self._cursor, len(more.claims), self.at_us)
        if more.schedules:
            schedules.write(self._cursor, more.schedules)
        self.decisions += more.decisions
        self._starts += more.starts
        self._opened, self._events = self._opened + more.opened, self._events + more.events
        self._keys, self._letters = self._keys + more.keys, self._letters + more.letters
        self._messages = messages + more.messages

    def _journal(self, changes: Changes, sealer: Sealer, place: int) -> bytes:
        n, leaf = self.n, sealer.leaf
        flat: list[Any] = []
        leaves: list[bytes] = []
        records = size_bytes = 0
        # Blobs go as bytearray: sqlite3 looks up an adapter for every bytes parameter, which costs more than the copy.
        for draft in changes.drafts:
            parts = draft.parts
            if not parts:
                continue
            data = b"".join(parts)
            run_id, first_seq = draft.run_id, draft.first_seq
            flat += (place, bytearray(run_id), first_seq, n, bytearray(data))
            leaves.append(leaf(run_id, first_seq, data))
            place += 1
            records += draft.records or len(parts)
            size_bytes += len(data)
        for run_id, data in self._starts:
            flat += (place, bytearray(run_id), 0, n, bytearray(data))
            leaves.append(leaf(run_id, 0, data))
            place += 1
            records += 1
            size_bytes += len(data)
        if flat:
            _JOURNAL.run(self._cursor, flat)
        self.records, self.size_bytes = records, size_bytes
        return b"".join(leaves)

    def _runs(self, changes: Changes) -> None:
        cursor = self._cursor
        if self._opened:
            _OPEN.run(cursor, [value for row in self._opened for value in rows.run_values(row)])
            queues.put(cursor, self._opened, self.n)
        if self._keys:
            flat = [part for key in self._keys for part in (key.namespace, key.key, key.request, key.run_id)]
            _START_KEYS.run(cursor, flat)
        if changes.versions:
            versions.write(cursor, changes.versions)
        if not changes.moved:
            return
        # Where a run ended up is what counts; it may have moved several times since the last commit.
        last = {moved.run_id: moved for moved in changes.moved}
        _MOVE.run(cursor, [part for moved in last.values() for part in (moved.run_id, int(moved.mode), moved.detail)])
        timers: list[Any] = []
        if self._held["timer"]:
            self._held["timer"] -= _LEAVE["timer"].run(cursor, list(last))
        for moved in last.values():
            if moved.mode is Mode.PARKED and moved.due_us is not None:
                timers += (moved.run_id, moved.due_us)
        if timers:
            self._held["timer"] += _TIMERS.run(cursor, timers)

    def _inbox(self, changes: Changes) -> None:
        cursor, held = self._cursor, self._held
        messages = self._messages
        if changes.waiters_gone and held["waiter"]:
            held["waiter"] -= _WAITERS_GONE.run(cursor, [part for pair in changes.waiters_gone for part in pair])
        # Given up in the batch that began it: it must not stay behind.
        gone = set(changes.waiters_gone)
        gone_runs = {ended.run_id for ended in changes.ended}
        waiters = [
            waiter
            for waiter in changes.waiters
            if waiter.run_id not in gone_runs and (waiter.run_id, waiter.key) not in gone
        ]
        if self._events:
            # Before the new waiters are in: they look back over these events by their own time.
            found = match.messages_for_events(cursor, self._events, self.at_us) if held["waiter"] else []
            messages = messages + [message for message in found if message.run_id not in gone_runs]
            _EVENTS.run(cursor, [value for event in self._events for value in rows.event_values(event)])
        if waiters:
            flat = [value for waiter in waiters for value in rows.waiter_values(waiter)]
            held["waiter"] += _WAITERS.run(cursor, flat)
            messages = messages + match.messages_for_waiters(cursor, waiters, self.at_us)
        if messages:
            self._put(messages)
        # After putting: a repeat of a message that is being taken goes with it.
        if changes.taken and held["message"]:
            held["message"] -= _TAKEN.run(cursor, [part for pair in changes.taken for part in pair])

    def told(self) -> tuple[bytes, ...]:
        """See ``Flushed.woken``."""
        return (*self.woken, *[run_id for run_id in self._turns if self.woken[run_id] > 1])

    def _put(self, messages: list[Message]) -> None:
        flat: list[Any] = []
        base = self.n << 20
        for place, message in enumerate(messages):
            self.woken[message.run_id] = self.woken.get(message.run_id, 0) + 1
            if message.kind == BEGIN:
                self._turns.append(message.run_id)
            flat += (
                message.run_id,
                message.message_id,
                message.kind,
                message.name,
                message.at_us,
                base + place,
                message.body,
            )
        self._held["message"] += _MESSAGES.run(self._cursor, flat)

    def _end(self, changes: Changes) -> None:
        cursor, held = self._cursor, self._held
        ids = [bytearray(ended.run_id) for ended in changes.ended]
        flat: list[Any] = []
        for run_id, ended in zip(ids, changes.ended, strict=True):
            detail = ended.detail
            flat += (run_id, ended.closed_us, ended.outcome.value, None if detail is None else bytearray(detail))
        _CLOSE.run(cursor, flat)
        _LEAVE["run"].run(cursor, ids)
        if held["message"]:
            _UNREAD.run(cursor, ids)
        for table in _COUNTED:
            if held[table]:
                held[table] -= _LEAVE[table].run(cursor, ids)

    def _rest(self, changes: Changes) -> None:
        cursor = self._cursor
        if changes.queues:
            queues.write(cursor, changes.queues)
        if changes.attributes or any(row.attributes for row in self._opened):
            attributes.write(cursor, self._opened, changes.attributes)
        if changes.payloads:
            payloads.write(cursor, changes.payloads)
        if changes.staged:
            staging.write(cursor, changes.staged)
        if self._letters:
            _LETTERS.run(cursor, [value for letter in self._letters for value in rows.letter_values(letter)])
        if changes.letters_replayed:
            _REPLAYED.run(cursor, [part for pair in changes.letters_replayed for part in pair])
        for chore in self._batch.chores:
            try:
                if chore.work is not None:
                    chore.work(cursor, self.decisions)
                else:
                    cursor.execute(chore.sql, chore.values)
                self.refused.append(None)
            except sqlite3.IntegrityError as error:
                self.refused.append(error)
