"""The brokers of a service: each is connected to when it is first needed, and again after it was away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rco.brokers.contract import Broker, Outgoing, Source
from rco.brokers.opening import open_broker
from rco.brokers.options import BrokerSettings
from rco.errors import BrokerAway

__all__ = ["Pool"]

STOP_S = 10.0


class Pool:
    """Keeps the ``kit.lifecycle.Lives`` contract. A start waits for no broker: that one is away keeps nobody else."""

    def __init__(self, settings: Mapping[str, BrokerSettings], opened: Callable[[str], str], member: str) -> None:
        """Raises ``ConfigInvalid`` when a library is missing or a reference stands for nothing."""
        self._brokers: dict[str, Broker] = {
            name: open_broker(name, one, opened, member) for name, one in settings.items()
        }
        self._ready: set[str] = set()
        self._turn = {name: asyncio.Lock() for name in settings}
        self._away: set[str] = set()
        self._stopped = False

    async def start(self) -> None:
        """Nothing is connected yet."""

    async def stop(self) -> None:
        self._stopped = True
        for name in sorted(self._ready):
            try:
                async with asyncio.timeout(STOP_S):
                    await self._brokers[name].stop()
            except TimeoutError:
                # It hangs over a connection that is nobody's any more.
                continue
        self._ready.clear()

    def away(self) -> list[str]:
        """The brokers that could not be reached when they were last needed."""
        return sorted(self._away)

    async def publish(self, name: str, messages: Sequence[Outgoing]) -> None:
        """See ``Broker.publish``."""
        try:
            await (await self._open(name)).publish(messages)
        except BrokerAway:
            self._away.add(name)
            raise
        self._away.discard(name)

    async def source(self, name: str, topic: str, group: str) -> Source:
        """See ``Broker.source``."""
        try:
            return await (await self._open(name)).source(topic, group)
        except BrokerAway:
            self._away.add(name)
            raise

    async def _open(self, name: str) -> Broker:
        broker = self._brokers[name]
        if name not in self._ready:
            async with self._turn[name]:
                if self._stopped:
                    raise BrokerAway("The service is stopping.")
                if name not in self._ready:
                    await broker.start()
                    self._ready.add(name)
        return broker
