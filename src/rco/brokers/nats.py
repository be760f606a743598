"""NATS JetStream: one stream, a subject for each topic, a durable pull consumer for each group.

What it acknowledges is written, and flushed to the disk as its own ``sync_interval`` says (every two minutes, unless
that is ``always``): a cluster of three keeps what one machine loses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from rco.brokers.contract import BODY_LIMIT_BYTES, Incoming, Outgoing
from rco.brokers.options import BrokerSettings
from rco.errors import BrokerAway, BrokerRefused

__all__ = ["NatsBroker"]

_ID = "Nats-Msg-Id"
_KEY = "Rco-Key"
_TOO_LARGE = 10054


class NatsBroker:
    """Implements ``rco.brokers.contract.Broker``."""

    def __init__(self, settings: BrokerSettings, url: str) -> None:
        self._settings, self._url = settings, url
        self._client: Any = None
        self._subjects: set[str] = set()
        self._making = asyncio.Lock()

    async def start(self) -> None:
        client = Client()
        try:
            # By itself it would try for ever.
            async with _away(), asyncio.timeout(self._settings.timeout_s):
                await client.connect(
                    self._url,
                    connect_timeout=max(1, round(self._settings.timeout_s)),
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    # While it is away nothing is kept here: who publishes is told, and sends again.
                    pending_size=0,
                    error_cb=_quiet,
                )
        except BaseException:
            await client.close()
            raise
        self._client = client
        self._stream = client.jetstream(timeout=self._settings.timeout_s)

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if len(message.body) > BODY_LIMIT_BYTES:
                raise BrokerRefused(f"a message of {len(message.body)} bytes; {BODY_LIMIT_BYTES} is the limit.")
        async with _away():
            self._connected()
            await self._hold({message.topic for message in messages})
            kept = []
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    for message in messages:
                        # A stream drops repeats whatever their topic.
                        identity = f"{message.topic}/{message.id}"
                        headers = {**message.headers, "id": message.id, _ID: identity, _KEY: message.key}
                        kept.append(
                            await self._stream.publish_async(
                                message.topic, message.body, stream=self._settings.stream, headers=headers
                            )
                        )
                    for one in kept:
                        await one
            finally:
                for one in kept:
                    one.cancel()

    async def source(self, topic: str, group: str) -> NatsSource:
        settings = self._settings
        async with _away():
            self._connected()
            await self._hold({topic})
            durable = f"{group}_{topic}".replace(".", "_").replace("*", "_").replace(">", "_")
            subscription = await self._stream.pull_subscribe(
                topic,
                durable=durable,
                stream=settings.stream,
                config=ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT,
                    deliver_policy=DeliverPolicy.ALL,
                    ack_wait=settings.claim_after_s,
                    max_ack_pending=10_000,
                    filter_subject=topic,
                ),
            )
        return NatsSource(subscription, settings)

    def _connected(self) -> None:
        if self._client is None or not self._client.is_connected:
            raise nats.errors.ConnectionClosedError

    async def _hold(self, topics: set[str]) -> None:
        """See that the stream holds ``topics``; the subjects of one that is there are only added to."""
        if topics <= self._subjects:
            return
        async with self._making:
            await self._make(topics - self._subjects)

    async def _make(self, missing: set[str]) -> None:
        settings = self._settings
        try:
            found = (await self._stream.stream_info(settings.stream)).config
        except nats.js.errors.NotFoundError:
            await self._stream.add_stream(
                StreamConfig(
                    name=settings.stream,
                    subjects=sorted(missing),
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.LIMITS,
                    discard=DiscardPolicy.OLD,
                    num_replicas=settings.replicas,
                    max_msgs=settings.keep,
                    max_msg_size=BODY_LIMIT_BYTES + 64 * 1024,
                    duplicate_window=settings.dedupe_s,
                )
            )
            self._subjects |= missing
            return
        held = list(found.subjects or ())
        new = [topic for topic in sorted(missing) if not any(_covers(subject, topic) for subject in held)]
        if new:
            await self._stream.update_stream(found.evolve(subjects=[*held, *new]))
        self._subjects |= missing


class NatsSource:
    """Implements ``rco.brokers.contract.Source``."""

    def __init__(self, subscription: Any, settings: BrokerSettings) -> None:
        self._subscription, self._settings = subscription, settings
        self._back: list[Incoming] = []

    async def take(self, limit: int, wait_s: float) -> list[Incoming]:
        if self._back:
            taken, self._back = self._back[:limit], self._back[limit:]
            return taken
        async with _away():
            try:
                found = await self._subscription.fetch(limit, timeout=wait_s)
            except TimeoutError:
                return []
        return [_incoming(message) for message in sorted(found, key=lambda one: one.metadata.sequence.stream)]

    async def settle(self, taken: Sequence[Incoming]) -> None:
        async with _away():
            for one in taken:
                await one.held.ack_sync(timeout=self._settings.timeout_s)

    async def give_back(self, taken: Sequence[Incoming]) -> None:
        self._back = [*taken, *self._back]
        async with _away():
            # They stay ours for as long as somebody works on them.
            for one in taken:
                await one.held.in_progress()

    async def stop(self) -> None:
        subscription, self._subscription = self._subscription, None
        back, self._back = self._back, []
        if subscription is None:
            return
        try:
            for one in back:
                await one.held.nak()
            await subscription.unsubscribe()
        except nats.errors.Error:
            return


def _incoming(message: Any) -> Incoming:
    headers = dict(message.headers or {})
    key = headers.pop(_KEY, "")
    headers.pop(_ID, None)
    return Incoming(f"{message.subject}/{message.metadata.sequence.stream}", key, message.data, headers, message)


def _covers(subject: str, topic: str) -> bool:
    """Whether a subject with wildcards stands for ``topic``."""
    ours, theirs = subject.split("."), topic.split(".")
    for at, part in enumerate(ours):
        if part == ">":
            return len(theirs) > at
        if at >= len(theirs) or part not in ("*", theirs[at]):
            return False
    return len(ours) == len(theirs)


async def _quiet(_: Exception) -> None:
    """Who asks is told; the client's own lines would be a second log."""


@asynccontextmanager
async def _away() -> AsyncIterator[None]:
    try:
        yield
    except nats.errors.MaxPayloadError:
        raise BrokerRefused("NATS takes no message as large as this.", cure="Raise its max_payload.") from None
    except nats.js.errors.APIError as error:
        if error.err_code == _TOO_LARGE:
            raise BrokerRefused(f"NATS refuses the message: {error.description}.") from None
        raise BrokerAway(f"NATS could not do it: {error.description}.") from None
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BrokerAway(f"NATS does not answer ({type(error).__name__}).") from None
