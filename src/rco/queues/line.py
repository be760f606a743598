"""One queue in its owner's memory: strict levels, and within a level deficit round robin over fairness keys. Pure.

A key that comes to a level where it is not known is served once ahead of the round, as a flow that is new is in
FQ-CoDel (RFC 8290): who has one run does not wait for a thousand others with a thousand each. It cannot live on that:
a key that has run dry goes to the end of the round and is forgotten only when its turn comes there. So between two
turns of a key that waits and may run, every other key of its level has at most two, of as many runs as its weight.

Each step costs the same however many keys and runs wait. Of a key the first runs are in memory (``page``); ``more``
says that the store has others behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from rco.model.queue import PRIORITIES, Item, Queue

__all__ = ["Key", "Line"]


class Key:
    """A fairness key in one level."""

    __slots__ = ("asked", "deficit", "items", "level", "more", "name", "passed_over", "ring")

    def __init__(self, level: int, name: str) -> None:
        self.level, self.name = level, name
        self.items: deque[Item] = deque()
        self.deficit = 0
        """How many runs it may begin in this turn."""
        self.more = False
        """The store may have waiting runs that are not in ``items``."""
        self.asked = False
        """They are being read."""
        self.passed_over = False
        """A run was left to the store since that read began, which may not see it."""
        self.ring: deque[Key] | None = None
        """The list it takes its turn in; ``None``: it runs as much as it may."""


class Line:
    """Who waits, who runs. Nothing here is durable: it is filled from the store and told what is committed."""

    def __init__(self, name: str, spec: Queue, page: int, keys_limit: int) -> None:
        self.name, self.spec, self.page, self.keys_limit = name, spec, page, keys_limit
        self.paused = False
        self.ready = False
        """What runs is known. No turn is given before."""
        self.running: dict[bytes, str] = {}
        """By run that holds a permit, its fairness key."""
        self.keys: dict[tuple[int, str], Key] = {}
        self.more_keys = False
        """The store may have keys that are not in ``keys``."""
        self.waiting = 0
        """Runs that wait, as far as it is known."""
        self._by_key: dict[str, int] = {}
        self._where: dict[bytes, Key] = {}
        self._keys = [0] * PRIORITIES
        """How many keys of each level are known."""
        self._new: list[deque[Key]] = [deque() for _ in range(PRIORITIES)]
        self._old: list[deque[Key]] = [deque() for _ in range(PRIORITIES)]
        self._full: dict[str, list[Key]] = {}

    # -- who waits -------------------------------------------------------------------------------------------------

    def push(self, item: Item, again: bool = False) -> None:
        """A run begins to wait, or waits again in the place it had. A second call changes nothing."""
        if item.run_id in self.running or item.run_id in self._where:
            return
        self.waiting += 1
        key = self.keys.get((item.priority, item.key))
        if key is None:
            if not self.takes_key(item.priority):
                return
            key = self.key(item.priority, item.key, new=True)
        if self.spec.ordered:
            # What another node committed before it may not be known here: only the store has the order. What was read
            # stands before whatever came since, but not before one that had its place already.
            key.more = key.passed_over = True
            if again:
                self._forget(key)
            return
        if again and key.more and (key.asked or (key.items and _turn(item) < _turn(key.items[-1]))):
            # Its place is among those in memory, or among those that are being read, which may not see it: left to the
            # store it would come after all of them.
            key.passed_over = True
            self._put(key, item, behind=False)
            return
        behind = not key.items or key.items[-1].run_id < item.run_id
        if key.more or (behind and len(key.items) >= 2 * self.page):
            # It is found in the store when its turn is near.
            key.more = key.passed_over = True
            return
        self._put(key, item, behind)

    def _forget(self, key: Key) -> None:
        """Its runs are read anew before its next turn."""
        for item in key.items:
            del self._where[item.run_id]
        key.items.clear()

    def _put(self, key: Key, item: Item, behind: bool) -> None:
        self._where[item.run_id] = key
        key.items.append(item)
        if not behind:
            key.items = deque(sorted(key.items, key=_turn))

    def takes_key(self, level: int) -> bool:
        """Whether one more key of the level may be known. If not, it is noted that there are more."""
        if self._keys[level] < self.keys_limit:
            return True
        self.more_keys = True
        return False

    @property
    def wants_keys(self) -> bool:
        """Whether few keys are left while the store may have more."""
        return self.more_keys and sum(self._keys) < self.keys_limit // 2

    def key(self, level: int, name: str, *, new: bool = False) -> Key:
        """The key, which takes part in its level's round from now on."""
        key = self.keys.get((level, name))
        if key is None:
            key = self.keys[level, name] = Key(level, name)
            self._keys[level] += 1
            key.deficit = self.spec.weights.get(name, 1)
            self._join(key, (self._new if new else self._old)[level])
        return key

    def _join(self, key: Key, ring: deque[Key]) -> None:
        key.ring = ring
        ring.append(key)

    def drop(self, run_id: bytes) -> bool:
        """A run waits no longer without having had its turn. Whether it was in memory."""
        self.waiting = max(0, self.waiting - 1)
        key = self._where.pop(run_id, None)
        if key is None:
            return False
        key.items = deque(item for item in key.items if item.run_id != run_id)
        return True

    def ask(self, key: Key) -> None:
        """Its runs are being read from now on; ``fill`` follows, or ``asked`` is taken back."""
        key.asked, key.passed_over = True, False

    def fill(self, key: Key, items: Iterable[Item], without: set[bytes]) -> None:
        """``items`` are the first that wait in the store, up to ``page``, read a moment ago; of ``without`` it has been
        heard since that they do not. What was pushed meanwhile is kept where nothing can be missing before it."""
        found = list(items)
        key.asked = False
        key.more = len(found) >= self.page or key.passed_over
        last = found[-1].run_id if found else b""
        kept = {item.run_id: item for item in key.items if not key.more or item.run_id <= last}
        if self.spec.ordered:
            # Nothing was pushed: what was read is all there is, in the order in which it stands.
            kept = {}
        self._forget(key)
        for item in found:
            if item.run_id not in self.running and item.run_id not in without:
                kept[item.run_id] = item
        key.items = deque(sorted(kept.values(), key=_turn))
        self._where.update(dict.fromkeys(kept, key))

    # -- whose turn it is ------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether one more run may begin."""
        return self.spec.concurrency is None or len(self.running) < self.spec.concurrency

    def next(self) -> Item | Key | None:
        """Whose turn it is: it is taken out and holds a permit. A ``Key``: its turn has come, and its runs have to be
        read first. ``None``: nobody may begin."""
        for level in range(PRIORITIES):
            new, old = self._new[level], self._old[level]
            while new or old:
                ring = new or old
                key = ring[0]
                if not key.items:
                    if key.more:
                        return key
                    ring.popleft()
                    if ring is new and old:
                        self._join(key, old)
                    else:
                        del self.keys[level, key.name]
                        self._keys[level] -= 1
                    continue
                limit = self.spec.per_key_concurrency
                if limit is not None and self._by_key.get(key.name, 0) >= limit:
                    ring.popleft()
                    key.ring = None
                    self._full.setdefault(key.name, []).append(key)
                    continue
                item = key.items.popleft()
                del self._where[item.run_id]
                key.deficit -= 1
                if key.deficit < 1:
                    key.deficit = self.spec.weights.get(key.name, 1)
                    ring.popleft()
                    self._join(key, old)
                self.waiting = max(0, self.waiting - 1)
                self.hold(item.run_id, item.key)
                return item
        return None

    def unread(self, first: Key, limit: int) -> list[Key]:
        """``first``, whose turn it is, and those behind it in its ring of which nothing is in memory either."""
        ring = islice(first.ring or (), limit)
        return [first, *(key for key in ring if key is not first and key.more and not key.items)]

    # -- permits ---------------------------------------------------------------------------------------------------

    def hold(self, run_id: bytes, name: str) -> None:
        """The run has a permit. A second call changes nothing."""
        if run_id not in self.running:
            self.running[run_id] = name
            self._by_key[name] = self._by_key.get(name, 0) + 1

    def release(self, run_id: bytes) -> bool:
        """The run has closed: its permit is free. Whether it had one."""
        name = self.running.pop(run_id, None)
        if name is None:
            return False
        left = self._by_key[name] - 1
        if left:
            self._by_key[name] = left
        else:
            del self._by_key[name]
        self._rejoin(name)
        return True

    def _rejoin(self, name: str) -> None:
        for key in self._full.pop(name, ()):
            self._join(key, self._old[key.level])

    def change(self, spec: Queue) -> None:
        """Go on by other limits. What runs goes on, also above them."""
        self.spec = spec
        for name in list(self._full):
            self._rejoin(name)

    def count(self, name: str) -> int:
        """Permits of one fairness key."""
        return self._by_key.get(name, 0)


def _turn(item: Item) -> tuple[int, bytes]:
    return item.arrival, item.run_id
