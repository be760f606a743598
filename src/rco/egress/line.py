"""The line before a limit: namespaces take turns, and within one whoever came first goes first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

__all__ = ["Line", "Place"]

T = TypeVar("T")


class Place(Generic[T]):
    """Somebody's place in a line: what they wait on, for whom and how much they will take."""

    __slots__ = ("cost", "turn", "whose")

    def __init__(self, whose: str, cost: int, turn: asyncio.Future[T]) -> None:
        self.whose, self.cost, self.turn = whose, cost, turn


class Line(Generic[T]):
    """Belongs to one event loop. Who has a place is waiting; ``length`` counts them."""

    __slots__ = ("_queues", "length")

    def __init__(self) -> None:
        # The first namespace is the next one; having gone, it stands behind the others.
        self._queues: OrderedDict[str, deque[Place[T]]] = OrderedDict()
        self.length = 0

    def stand(self, whose: str, cost: int) -> Place[T]:
        """A place at the end of one namespace's part."""
        place = Place(whose, cost, asyncio.get_running_loop().create_future())
        self._queues.setdefault(whose, deque()).append(place)
        self.length += 1
        return place

    def ahead(self, whose: str) -> int:
        """How many go before somebody who comes now."""
        mine = len(self._queues.get(whose, ()))
        # Of each other namespace as many as take their turns before.
        return mine + sum(min(len(queue), mine + 1) for name, queue in self._queues.items() if name != whose)

    def first(self) -> Place[T] | None:
        """Who is next."""
        for queue in self._queues.values():
            return queue[0]
        return None

    def step(self) -> None:
        """The first one leaves the line, and the turn goes on to the next namespace."""
        whose, queue = self._queues.popitem(last=False)
        queue.popleft()
        self.length -= 1
        if queue:
            self._queues[whose] = queue

    def give_up(self, place: Place[T]) -> None:
        """``place`` is wanted no more. Whoever is no longer in the line changes nothing."""
        queue = self._queues.get(place.whose)
        if queue is None or place not in queue:
            return
        queue.remove(place)
        self.length -= 1
        if not queue:
            del self._queues[place.whose]
