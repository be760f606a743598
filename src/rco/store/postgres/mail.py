"""Wake-ups between nodes: notifications that are sent together, after commits, and a slow look that needs none.

The same look finds what else others may have changed (``news``): a number for each topic, which grows with each change.
So one statement every few seconds is all that an idle node asks, and who was told nothing has missed nothing.

``NOTIFY`` within a writing transaction would take one lock of the whole server for the length of its commit, so shards
that got a message are noted, and told at most a hundred times a second on a connection of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from rco.kit.lifecycle import stop_task
from rco.model.run import shard_of
from rco.store.contract.news import Topic
from rco.store.contract.ownership import Shards
from rco.store.pools import byte_of
from rco.store.postgres import news
from rco.store.postgres.connection import Connection, Line, answering_within
from rco.store.postgres.flusher import Identity
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership

__all__ = ["Mail"]

_CHANNEL = "rco"
_LEASES = "leases"
_BETWEEN_S = 0.01
_WINDOW_S = 60.0
"""Messages are numbered before they are committed: so long a smaller number may still appear behind a larger one."""
_PAGE = 10_000
_TOPICS = frozenset(Topic)
_HELD = "SELECT pg_try_advisory_lock(7304, hashtext($1))"
_TELL = "SELECT pg_notify($1, $2)"
# The numbers come first, so that there is a row where there is no message.
_LOOK = (
    f"SELECT m.arrival, m.run_id, m.version, n.* FROM ({news.NUMBERS}) AS n LEFT JOIN"
    " (SELECT i.arrival, i.run_id, r.version FROM message AS i LEFT JOIN run AS r ON r.run_id = i.run_id"
    " WHERE i.arrival > $1 AND i.shard = ANY ($2) ORDER BY i.arrival LIMIT $3) AS m ON true ORDER BY m.arrival"
)
_LOOK_ALL = (
    "SELECT DISTINCT m.run_id, r.version FROM message AS m LEFT JOIN run AS r ON r.run_id = m.run_id"
    " WHERE m.shard = ANY ($1)"
)


class Mail:
    """Tells other nodes of messages for their runs, and the listener of messages for ours."""

    def __init__(self, dsn: str, *, identity: Identity, ownership: NodeOwnership, options: PostgresOptions) -> None:
        self._identity, self._ownership, self._options = identity, ownership, options
        self._listens = not options.pooler or bool(options.direct_dsn)
        self._line = Line(options.direct_dsn or dsn, answering_within(options, options.ttl_s), self._prepare)
        self._held = False
        self._listeners: list[Callable[[bytes], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._pending: set[int] = set()
        self._released = False
        self._send = asyncio.Event()
        self._look = asyncio.Event()
        self._gained: set[int] = set()
        self._seen: dict[int, None] = {}
        self._marks: deque[tuple[float, int]] = deque()
        self._low = 0
        self._numbers: dict[Topic, int] = {}
        self._news: dict[Topic, list[Callable[[], None]]] = {}
        self._untold: set[Topic] = set()
        self.on_leases: Callable[[], None] = _nothing
        """Called when another node has given shards back."""
        ownership.on_gained(self._on_gained)

    # -- life ------------------------------------------------------------------------------------------------------

    async def _prepare(self, connection: Connection) -> None:
        if not self._listens:
            return
        # Held as long as the process lives: whoever gets it knows that the one before is gone.
        self._held = bool(await connection.fetchval(_HELD, self._identity.node))
        await connection.add_listener(_CHANNEL, self._heard)
        # What was said while nobody listened is found by looking, and looking listens again.
        connection.add_termination_listener(lambda _: self._look.set())

    async def open(self) -> None:
        """Open the connection and listen. Raises what ``is_passing`` judges."""
        await self._line.open()

    async def is_gone(self) -> bool:
        """Whether nobody else holds the lock of this node's name. False when that cannot be known."""
        if self._listens and not self._held:
            rows = await self._line.fetch(_HELD, self._identity.node)
            self._held = bool(rows[0][0])
        return self._held

    def begin(self) -> None:
        """Tell and look from now on."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._sending()), loop.create_task(self._looking())]

    async def stop(self) -> None:
        """Say what there is to say, then end. Idempotent."""
        for task in self._tasks:
            await stop_task(task)
        self._tasks = []
        if self._pending or self._released or self._untold:
            # What is not told is found by looking.
            with contextlib.suppress(Exception):
                await self._tell()
        await self._line.close()

    # -- telling ---------------------------------------------------------------------------------------------------

    def woke(self, run_ids: Iterable[bytes]) -> None:
        """These runs got a message by a commit of ours; those of other nodes are told."""
        covers = self._ownership.covers
        for run_id in run_ids:
            if not covers(run_id):
                self._pending.add(shard_of(run_id))
                self._send.set()

    def released(self) -> None:
        """Shards are free for others."""
        self._released = True
        self._send.set()

    def changed(self, topic: Topic) -> None:
        """This node has committed a change of ``topic``."""
        self._untold.add(topic)
        self._send.set()

    async def _sending(self) -> None:
        while True:
            await self._send.wait()
            self._send.clear()
            try:
                await self._tell()
            except Exception:  # noqa: BLE001 - they find it by looking; the next word may get through
                await asyncio.sleep(self._options.heartbeat_s)
            await asyncio.sleep(_BETWEEN_S)

    async def _tell(self) -> None:
        shards, self._pending = self._pending, set()
        released, self._released = self._released, False
        words = [_LEASES] if released else []
        words += [str(shard) for shard in sorted(shards)]
        untold, self._untold = self._untold, set()
        words += sorted(untold)
        if words:
            await self._line.fetch(_TELL, _CHANNEL, ",".join(words))

    # -- hearing and looking ---------------------------------------------------------------------------------------

    def on_mail(self, listener: Callable[[bytes], None]) -> None:
        self._listeners.append(listener)
        # Nobody was told of what has been found before now: a keeper begins before there is an engine.
        self._on_gained(self._ownership.shards() or frozenset())

    def on_news(self, topic: Topic, listener: Callable[[], None]) -> bool:
        """See ``News.on_news``."""
        self._news.setdefault(topic, []).append(listener)
        return self._listens

    def _tell_news(self, topic: Topic) -> None:
        for listener in self._news.get(topic, ()):
            listener()

    def look(self) -> None:
        """Look for messages at once."""
        self._look.set()

    def _heard(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        """It may be for runs of the shard, which are found by looking, or for its queues."""
        del connection, pid, channel
        for word in str(payload).split(","):
            if word == _LEASES:
                self.on_leases()
            elif word.isdecimal() and self._ownership.touches(poke := bytes(15) + bytes((int(word),))):
                self._look.set()
                self._report([poke])
            elif word in _TOPICS:
                self._tell_news(Topic(word))

    def _on_gained(self, shards: Shards) -> None:
        self._gained |= {byte_of(shard) for shard in shards}
        self._look.set()

    async def _looking(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._options.poll_s):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self._find()
            except Exception:  # noqa: BLE001 - the next look may get through
                await asyncio.sleep(self._options.heartbeat_s)
                self._look.set()
            await asyncio.sleep(_BETWEEN_S)

    async def _find(self) -> None:
        await self.is_gone()
        gained, self._gained = self._gained, set()
        if gained:
            # Parked runs may have got a message while nobody owned them.
            try:
                rows = await self._line.fetch(_LOOK_ALL, sorted(gained))
            except BaseException:
                self._gained |= gained
                raise
            self._report([row[0] for row in rows if self._is_ours(row[0], row[1])])
        shards = sorted({byte_of(shard) for shard in self._ownership.shards() or ()})
        now_s = asyncio.get_running_loop().time()
        low = self._low
        while True:
            found = await self._line.fetch(_LOOK, low, shards, _PAGE)
            self._compare(news.numbers(tuple(found[0])[3:]))
            rows = [row for row in found if row[0] is not None]
            fresh = [row for row in rows if row[0] not in self._seen]
            # Of runs that become ours later we are told by another message, or find it as we gain their shards.
            self._report([row[1] for row in fresh if self._is_ours(row[1], row[2])])
            self._seen.update((row[0], None) for row in rows)
            if len(rows) < _PAGE:
                break
            low = rows[-1][0]
        highest = rows[-1][0] if rows else low
        self._marks.append((now_s, max(highest, self._marks[-1][1] if self._marks else 0)))
        while self._marks and now_s - self._marks[0][0] > _WINDOW_S:
            self._low = max(self._low, self._marks.popleft()[1])
            self._seen = {arrival: None for arrival in self._seen if arrival > self._low}

    def _compare(self, found: dict[Topic, int]) -> None:
        known, self._numbers = self._numbers, found
        for topic, number in found.items():
            # What is due at once stays to be told of until it is taken up.
            if number != known.get(topic) or (topic is Topic.SCHEDULES and number):
                self._tell_news(topic)

    def _is_ours(self, run_id: bytes, version: str | None) -> bool:
        ownership = self._ownership
        return version is None or ownership.owns(ownership.home(run_id, version))

    def _report(self, run_ids: list[bytes]) -> None:
        for run_id in dict.fromkeys(run_ids):
            if self._ownership.touches(run_id):
                for listener in self._listeners:
                    listener(run_id)


def _nothing() -> None:
    """Nobody looks."""
