"""Relaying: feeds to brokers and intakes from them, started and stopped with the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from rco.brokers.contract import Incoming, Outgoing
from rco.brokers.options import BrokerSettings
from rco.brokers.pool import Pool
from rco.errors import StoreError
from rco.kit.lifecycle import Lives
from rco.model.decision import Decision, Verb
from rco.model.subscription import Subscription
from rco.operations.desk import Desk
from rco.operations.publishing import Published
from rco.operations.receive import admission_of
from rco.operations.take_in import take_in
from rco.relay.feed import Feed, FeedReader
from rco.relay.intake import Intake
from rco.relay.options import PublishSettings, SourceSettings
from rco.relay.topics import telling
from rco.store.contract.ownership import Ownership
from rco.store.contract.writer import Seal
from rco.telemetry import signals

__all__ = ["Relaying", "say_goodbye"]

GOODBYE_S = 2.0


async def say_goodbye(desk: Desk) -> None:
    """Make the shutdown a decision, which whoever is told of decisions still hears. Where the store takes nothing any
    more, or is away, it is left out: a stop must not wait for as long as that takes."""
    said = Decision(verb=Verb.NODE, at_us=desk.clock.now_us(), actor="node", reason="stopping")
    try:
        async with asyncio.timeout(GOODBYE_S):
            await desk.engine.submit(0, admission_of(None, [], [], None, [said], []), lambda _: None)
    except (StoreError, TimeoutError):
        return


class Relaying:
    """Keeps the ``kit.lifecycle.Lives`` contract. A broker that is away holds nothing up but what is for it."""

    def __init__(
        self,
        brokers: Mapping[str, BrokerSettings],
        publish: Sequence[PublishSettings],
        sources: Mapping[str, SourceSettings],
        *,
        desk: Callable[[], Desk],
        reader: FeedReader,
        ownership: Ownership,
        opened: Callable[[str], str],
        node: str,
        random: Callable[[], float],
    ) -> None:
        """Raises ``ConfigInvalid`` when the library of a broker is missing."""
        self._desk = desk
        metrics = desk().metrics
        self._pool = Pool(brokers, opened, node)
        self._reader, self._ownership, self._random = reader, ownership, random
        self._feeds: dict[str, Feed] = {
            one.broker: self._feed(one.broker, one.broker, telling(one.topics)) for one in publish
        }
        self._begun = False
        self._intakes = {
            name: Intake(
                name,
                partial(self._pool.source, one.broker, one.topic, one.group),
                partial(self._take_in, name, one),
                batch=one.batch,
                settled=metrics.counter(signals.SOURCE_TAKEN, source=name).add,
                random=random,
                trouble=self._trouble,
            )
            for name, one in sources.items()
        }
        for one in publish:
            self._watch(one.broker)
        if brokers:
            metrics.gauge(signals.BROKERS_AWAY).watch(lambda: len(self._pool.away()))

    def _feed(self, name: str, broker: str, messages: Callable[[str, Seal], Awaitable[list[Outgoing]]]) -> Feed:
        metrics = self._desk().metrics
        return Feed(
            name,
            messages,
            partial(self._pool.publish, broker),
            self._reader,
            self._ownership,
            random=self._random,
            told=metrics.counter(signals.FEED_TOLD, broker=broker).add,
            refused=metrics.counter(signals.FEED_REFUSED, broker=broker).add,
            trouble=self._trouble,
        )

    def _watch(self, broker: str) -> None:
        names = (broker, _events_of(broker))
        self._desk().metrics.gauge(signals.FEED_BEHIND, broker=broker).watch(
            lambda: sum(self._feeds[name].behind for name in names if name in self._feeds)
        )

    async def publish_for(self, subscriptions: Iterable[Subscription]) -> None:
        """See that what these send to brokers is sent, also what was decided before they were there. What others had
        sent goes on. May be called again, and before ``start``."""
        wanted = {one.publish.broker for one in subscriptions if one.publish is not None}
        for broker in sorted(wanted):
            name = _events_of(broker)
            if name not in self._feeds:
                published = Published(broker, lambda: self._desk().reader, partial(self._gone, broker))
                feed = self._feeds[name] = self._feed(name, broker, published)
                self._watch(broker)
                if self._begun:
                    await feed.start()

    def _gone(self, broker: str, subscription: str, problem: BaseException | None) -> None:
        desk = self._desk()
        desk.metrics.counter(signals.FEED_GONE, broker=broker).add()
        desk.log.error("relay.event_gone", detail=f"{broker}, subscription {subscription}", error=problem)

    @property
    def names(self) -> list[str]:
        """Of the feeds; their cursors are called ``NAME/CHAIN``."""
        return sorted(self._feeds)

    def wake(self) -> None:
        """A commit was made: there may be something to tell."""
        for feed in self._feeds.values():
            feed.wake()

    async def start(self) -> None:
        self._begun = True
        lives: list[Lives] = [self._pool, *self._feeds.values(), *self._intakes.values()]
        for one in lives:
            await one.start()

    async def stop(self) -> None:
        """Intakes first, as what they bring is told, then the feeds, with what is there by then."""
        for intake in self._intakes.values():
            await intake.stop()
        for feed in self._feeds.values():
            await feed.stop()
        await self._pool.stop()

    async def _take_in(self, name: str, settings: SourceSettings, message: Incoming) -> None:
        await take_in(self._desk(), name, settings, message)

    def _trouble(self, name: str, problem: BaseException) -> None:
        self._desk().log.warning("relay.trouble", detail=name, error=problem)


def _events_of(broker: str) -> str:
    """The name of the feed that sends it events; no broker is called so."""
    return f"{broker}#events"
