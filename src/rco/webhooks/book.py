"""The endpoints as this node knows them: read by number when one has changed, matched as subscriptions are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from rco.errors import ConfigInvalid
from rco.kit.lookout import Hear, Lookout, deaf
from rco.model.endpoint import DELIVER, Endpoint, EndpointState
from rco.model.event import Event
from rco.model.subscription import Subscription
from rco.router.table import RoutingTable
from rco.store.contract.endpoints import Endpoints
from rco.store.contract.queues import QueueReader

__all__ = ["BEAT_S", "ORDERED", "Book", "Wanted", "check", "letter_label", "letter_name"]

BEAT_S = 0.5
"""Between two looks, where nobody tells of changes."""
PAGE = 500
ORDERED = "rco.webhooks"
"""The queue in which ordered deliveries wait: one at a time of each key."""
_PREFIX = "endpoint:"
Wanted = tuple[Endpoint, str | None]
"""An endpoint, and the key by which its deliveries are ordered."""


class Kept(Endpoints, QueueReader, Protocol):
    """What is read here."""


def _nothing() -> None:
    """Nobody asked to be told."""


class Book:
    """One to a node, used on its event loop. A ``Lives``; after ``start`` everything was read once."""

    def __init__(
        self, store: Kept, trouble: Callable[[BaseException], None], *, beat_s: float = BEAT_S, hear: Hear = deaf
    ) -> None:
        self._store, self._trouble = store, trouble
        self._lookout = Lookout(self.look, beat_s=beat_s, trouble=trouble, hear=hear, name="rco-endpoints")
        self._rows: dict[str, Endpoint] = {}
        self._last = 0
        self._table: RoutingTable | None = None
        self._looking = asyncio.Lock()
        self.ordered = False
        """Some endpoint's deliveries go one after the other, or did."""
        self.on_ordered: Callable[[], None] = _nothing
        """Called when the first such endpoint comes."""

    async def start(self) -> None:
        """Raises ``StoreError``."""
        await self._lookout.start()
        self.ordered |= any(one.queue == ORDERED for one in await self._store.queue_counts())

    async def stop(self) -> None:
        await self._lookout.stop()

    async def look(self) -> None:
        """Read what changed."""
        async with self._looking:
            changes: dict[str, Endpoint] = {}
            last = self._last
            while True:
                page = await self._store.endpoints(last, PAGE)
                changes |= {one.endpoint_id: one for one in page.endpoints}
                last = page.last
                if not page.endpoints:
                    break
            # All at once: events come between the pages, and whom the table names must be there.
            self._last = last
            for endpoint_id, one in changes.items():
                if one.state is EndpointState.DELETED:
                    self._rows.pop(endpoint_id, None)
                else:
                    self._rows[endpoint_id] = one
            if changes:
                self._table = self._made()
                if not self.ordered and any(one.order_by is not None for one in self._rows.values()):
                    self.ordered = True
                    self.on_ordered()

    @property
    def any(self) -> bool:
        """Some endpoint may want some event."""
        return self._table is not None

    def of(self, namespace: str) -> list[Endpoint]:
        """Those of a namespace, from old to new."""
        mine = [one for one in self._rows.values() if one.namespace == namespace]
        return sorted(mine, key=lambda one: (one.created_us, one.endpoint_id))

    def count(self, state: str) -> int:
        """How many there are in this state."""
        return sum(one.state.value == state for one in self._rows.values())

    def match(self, event: Event) -> tuple[list[Wanted], list[tuple[str, str]]]:
        """The endpoints that want ``event``, each once, and (``letter_name``, cause) of those whose order cannot be
        told for it."""
        if self._table is None:
            return [], []
        found = self._table.match(event)
        wanted: dict[str, Wanted] = {}
        for subscription, _ in found.starts:
            endpoint = self._rows[_id_of(subscription.name)]
            wanted[endpoint.endpoint_id] = (endpoint, subscription.fair_key)
        failed = {letter_name(_id_of(one.name)): cause for one, cause in found.failed}
        return list(wanted.values()), list(failed.items())

    def _made(self) -> RoutingTable | None:
        made: list[Subscription] = []
        for endpoint in self._rows.values():
            if endpoint.state is EndpointState.ENABLED:
                try:
                    check(endpoint)
                except ConfigInvalid as problem:
                    # Written by another release: the others go on.
                    self._trouble(problem)
                    continue
                made += _subscriptions(endpoint)
        return RoutingTable.build(made) if made else None


def check(endpoint: Endpoint) -> None:
    """Raises ``ConfigInvalid`` for a pattern that is none and an order that does not compile."""
    RoutingTable.build(_subscriptions(endpoint))


def letter_name(endpoint_id: str) -> str:
    """How dead letters name the endpoint that they were for."""
    return _PREFIX + endpoint_id


def letter_label(subscription: str) -> str:
    """The name of a dead letter's subscription as a label of metrics: of endpoints there are too many."""
    return "endpoints" if subscription.startswith(_PREFIX) else subscription


def _subscriptions(endpoint: Endpoint) -> list[Subscription]:
    return [
        Subscription(
            name=f"{_PREFIX}{endpoint.endpoint_id}#{number}",
            workflow=DELIVER,
            type=pattern,
            fair_key=endpoint.order_by,
            namespace=endpoint.namespace,
        )
        for number, pattern in enumerate(endpoint.types)
    ]


def _id_of(name: str) -> str:
    return name.removeprefix(_PREFIX).partition("#")[0]
