"""Relaying: feeds to brokers and intakes from them, started and stopped with the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rco.brokers.contract import Incoming
from rco.brokers.options import BrokerSettings
from rco.brokers.pool import Pool
from rco.errors import StoreError
from rco.kit.lifecycle import Lives
from rco.model.decision import Decision, Verb
from rco.operations.desk import Desk
from rco.operations.receive import admission_of
from rco.operations.take_in import take_in
from rco.relay.feed import Feed, FeedReader
from rco.relay.intake import Intake
from rco.relay.options import PublishSettings, SourceSettings
from rco.store.contract.ownership import Ownership
from rco.telemetry import signals

__all__ = ["Relaying", "say_goodbye"]


async def say_goodbye(desk: Desk) -> None:
    """Make the shutdown a decision, which whoever is told of decisions still hears. Where the store takes nothing any
    more it is left out."""
    said = Decision(verb=Verb.NODE, at_us=desk.clock.now_us(), actor="node", reason="stopping")
    try:
        await desk.engine.submit(0, admission_of(None, [], [], None, [said], []), lambda _: None)
    except StoreError:
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
        self._feeds = [
            Feed(
                one.broker,
                one.topics,
                partial(self._pool.publish, one.broker),
                reader,
                ownership,
                random=random,
                told=metrics.counter(signals.FEED_TOLD, broker=one.broker).add,
                refused=metrics.counter(signals.FEED_REFUSED, broker=one.broker).add,
                trouble=self._trouble,
            )
            for one in publish
        ]
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
        for one, feed in zip(publish, self._feeds, strict=True):
            metrics.gauge(signals.FEED_BEHIND, broker=one.broker).watch(partial(getattr, feed, "behind"))
        if publish or sources:
            metrics.gauge(signals.BROKERS_AWAY).watch(lambda: len(self._pool.away()))

    def wake(self) -> None:
        """A commit was made: there may be something to tell."""
        for feed in self._feeds:
            feed.wake()

    async def start(self) -> None:
        lives: list[Lives] = [self._pool, *self._feeds, *self._intakes.values()]
        for one in lives:
            await one.start()

    async def stop(self) -> None:
        """Intakes first, as what they bring is told, then the feeds, with what is there by then."""
        for intake in self._intakes.values():
            await intake.stop()
        for feed in self._feeds:
            await feed.stop()
        await self._pool.stop()

    async def _take_in(self, name: str, settings: SourceSettings, message: Incoming) -> None:
        await take_in(self._desk(), name, settings, message)

    def _trouble(self, name: str, problem: BaseException) -> None:
        self._desk().log.warning("relay.trouble", detail=name, error=problem)
