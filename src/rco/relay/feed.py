"""A feed: tells one broker what the audit chains hold, each chain from where it was left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from rco.brokers.contract import Outgoing
from rco.errors import BrokerAway, BrokerRefused, StoreError
from rco.kit.backoff import Backoff
from rco.kit.digest import digest
from rco.store.contract.cursors import Cursors
from rco.store.contract.ownership import Ownership
from rco.store.contract.reader import AuditReader
from rco.store.contract.writer import Seal

__all__ = ["Feed", "FeedReader"]

PAGE = 200
MESSAGES_AT_A_TIME = 500
POLL_S = 2.0
REST_S = 0.05
LAST_S = 2.0
KEPT_EVERY = 1000
"""Links without anything to tell: after so many the cursor is moved all the same."""
_BACKOFF = Backoff(first_s=0.2, factor=2.0, cap_s=30.0)


class FeedReader(AuditReader, Cursors, Protocol):
    """What a feed reads and where it writes down how far it is."""


class Feed:
    """Keeps the ``kit.lifecycle.Lives`` contract. At least once: the cursor moves on when the broker has said that all
    is kept, so what was told in the last moment before a crash is told again, under the same identity.

    Each chain is told by the node that owns the shard its name falls on, also those of nodes that are gone.
    """

    def __init__(
        self,
        name: str,
        messages: Callable[[str, Seal], Awaitable[list[Outgoing]]],
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        reader: FeedReader,
        ownership: Ownership,
        *,
        random: Callable[[], float],
        told: Callable[[int], None],
        refused: Callable[[], None],
        trouble: Callable[[str, BaseException], None],
    ) -> None:
        """``name``: the cursor is kept under it. ``messages`` gives what a link of a chain tells, the same each time;
        it may raise ``StoreError``, and is asked again. ``told`` hears how many messages the broker has
        taken, ``refused`` of each that it never will, ``trouble`` of what is tried again."""
        self._name, self._messages, self._publish = name, messages, publish
        self._reader, self._ownership, self._random, self._trouble = reader, ownership, random, trouble
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._at: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._behind: dict[str, int] = {}
        self._told, self._refused = told, refused
        self._settled = 0

    @property
    def behind(self) -> int:
        """Links of chains that are told from here and that the broker has not got, as of the last look."""
        return sum(self._behind.values())

    def wake(self) -> None:
        """There may be more to tell."""
        self._news.set()

    async def start(self) -> None:
        self._ownership.on_leaving(lambda _: self._at.clear())
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"rco-feed {self._name}")

    async def stop(self) -> None:
        """Tell what is there, for two seconds at most. What is left is told in the next life, or by another node."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        try:
            async with asyncio.timeout(LAST_S):
                await self._pass()
        except Exception as problem:  # noqa: BLE001 - what stops after it must stop all the same
            if not isinstance(problem, (BrokerAway, StoreError, TimeoutError)):
                self._trouble(self._name, problem)

    async def _run(self) -> None:
        failures = 0
        while True:
            self._news.clear()
            try:
                await self._pass()
            except Exception as problem:  # noqa: BLE001 - a feed that ends tells nobody; one that stands still says so
                failures += 1
                self._trouble(self._name, problem)
                await asyncio.sleep(_BACKOFF.delay_s(failures, self._random))
                continue
            failures = 0
            try:
                async with asyncio.timeout(POLL_S):
                    await self._news.wait()
                # Commits come by the thousand: their news are told together.
                await asyncio.sleep(REST_S)
            except TimeoutError:
                pass

    async def _pass(self) -> None:
        """Tell every chain of ours to its end."""
        chains = [chain for chain in await self._reader.chains() if self._ownership.owns(_shard_of(chain))]
        self._behind = {chain: self._behind.get(chain, 0) for chain in chains}
        for chain in chains:
            while await self._page(chain):
                pass

    async def _page(self, chain: str) -> bool:
        """Tell a page of links; whether there may be more."""
        cursor = f"{self._name}/{chain}"
        at = self._at.get(chain)
        if at is None:
            at = self._kept[chain] = await self._reader.cursor(cursor)
        seals = await self._reader.seals(at + 1, PAGE, chain)
        if not seals:
            self._at[chain], self._behind[chain] = at, 0
            return False
        before, waiting = self._settled, list[Outgoing]()
        for seal in seals:
            waiting += await self._messages(chain, seal)
            if len(waiting) >= MESSAGES_AT_A_TIME:
                await self._tell(waiting)
                waiting = []
        await self._tell(waiting)
        to, told = seals[-1].n, self._settled - before
        if not self._ownership.owns(_shard_of(chain)):
            # Its next teller begins where the cursor stands, and tells some of it again.
            self._at.pop(chain, None)
            return False
        # Moving the cursor is a commit and so another link, which must not move it again.
        if told or to - self._kept.get(chain, 0) >= KEPT_EVERY:
            await self._reader.move_cursor(cursor, to)
            self._kept[chain] = to
        self._at[chain] = to
        if len(seals) < PAGE:
            self._behind[chain] = 0
            return False
        head = await self._reader.head(chain)
        self._behind[chain] = 0 if head is None else head.n - to
        return True

    async def _tell(self, messages: list[Outgoing]) -> None:
        if not messages:
            return
        try:
            await self._publish(messages)
        except BrokerRefused as problem:
            # One of them is in the way of all: it is found, counted and passed over.
            if len(messages) == 1:
                self._settled += 1
                self._refused()
                self._trouble(self._name, problem)
                return
            half = len(messages) // 2
            await self._tell(messages[:half])
            await self._tell(messages[half:])
            return
        self._settled += len(messages)
        self._told(len(messages))


def _shard_of(chain: str) -> int:
    return digest(chain.encode())[0]
