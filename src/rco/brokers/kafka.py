"""Kafka: a topic for each topic, a consumer group for each group; order is that of a partition, which the key chooses.

What it acknowledges is on every replica in sync (``acks=all``); how many those must be is for the topic's
``min.insync.replicas`` to say.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import aiokafka.errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from rco.brokers.contract import BODY_LIMIT_BYTES, Incoming, Outgoing
from rco.brokers.options import BrokerSettings
from rco.errors import BrokerAway, BrokerRefused

__all__ = ["KafkaBroker"]

_ENVELOPE_BYTES = 64 * 1024


class KafkaBroker:
    """Implements ``rco.brokers.contract.Broker``. ``member`` is this process's name in groups."""

    def __init__(self, settings: BrokerSettings, url: str, password: str, member: str) -> None:
        self._settings, self._member = settings, member
        self._how: dict[str, Any] = {
            "bootstrap_servers": url,
            "client_id": member,
            "request_timeout_ms": round(settings.timeout_s * 1000),
            "retry_backoff_ms": 200,
        }
        if settings.tls:
            self._how |= {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
        if settings.user:
            self._how |= {
                "security_protocol": "SASL_SSL" if settings.tls else "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": settings.user,
                "sasl_plain_password": password,
            }
        self._producer: Any = None
        self._topics: set[str] = set()
        self._making = asyncio.Lock()

    async def start(self) -> None:
        producer = aiokafka.AIOKafkaProducer(
            **self._how,
            acks="all",
            # A repeat by the client itself is dropped by the broker and keeps its place.
            enable_idempotence=True,
            max_request_size=BODY_LIMIT_BYTES + _ENVELOPE_BYTES,
        )
        try:
            async with _away(), asyncio.timeout(self._settings.timeout_s):
                await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # What is still under way was never acknowledged to who published it.
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    await producer.stop()
            except TimeoutError:
                return

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if len(message.body) > BODY_LIMIT_BYTES:
                raise BrokerRefused(f"a message of {len(message.body)} bytes; {BODY_LIMIT_BYTES} is the limit.")
        if self._producer is None:
            raise BrokerAway("The connection to Kafka is closed.")
        await self._make({message.topic for message in messages})
        async with _away(), asyncio.timeout(self._settings.timeout_s):
            kept = [
                await self._producer.send(
                    message.topic,
                    message.body,
                    key=message.key.encode(),
                    headers=[
                        ("id", message.id.encode()),
                        *((name, text.encode()) for name, text in message.headers.items()),
                    ],
                )
                for message in messages
            ]
            await asyncio.gather(*kept)

    async def source(self, topic: str, group: str) -> KafkaSource:
        await self._make({topic})
        consumer = aiokafka.AIOKafkaConsumer(
            topic,
            **self._how,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=10_000,
        )
        try:
            async with _away(), asyncio.timeout(self._settings.timeout_s):
                await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return KafkaSource(consumer, self._settings)

    async def _make(self, topics: set[str]) -> None:
        if topics <= self._topics:
            return
        async with self._making:
            await self._make_missing(topics - self._topics)

    async def _make_missing(self, missing: set[str]) -> None:
        admin = AIOKafkaAdminClient(**self._how)
        try:
            async with _away(), asyncio.timeout(self._settings.timeout_s):
                await admin.start()
                there = set(await admin.list_topics())
                for topic in sorted(missing - there):
                    await admin.create_topics(
                        [
                            NewTopic(
                                topic,
                                num_partitions=self._settings.partitions,
                                replication_factor=self._settings.replicas,
                            )
                        ]
                    )
        finally:
            await admin.close()
        self._topics |= missing


class KafkaSource:
    """Implements ``rco.brokers.contract.Source``."""

    def __init__(self, consumer: Any, settings: BrokerSettings) -> None:
        self._consumer, self._settings = consumer, settings
        self._back: deque[Incoming] = deque()

    async def take(self, limit: int, wait_s: float) -> list[Incoming]:
        if self._back:
            held = self._consumer.assignment()
            # A partition that went to another member took its messages along.
            back = [one for one in self._back if one.held[0] in held]
            taken, self._back = back[:limit], deque(back[limit:])
            if taken:
                return taken
        async with _away():
            found = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=limit)
        return [_incoming(partition, record) for partition, records in found.items() for record in records]

    async def settle(self, taken: Sequence[Incoming]) -> None:
        upto: dict[Any, int] = {}
        for one in taken:
            partition, offset = one.held
            upto[partition] = max(upto.get(partition, 0), offset + 1)
        if upto:
            async with _away(), asyncio.timeout(self._settings.timeout_s):
                await self._consumer.commit(upto)

    async def give_back(self, taken: Sequence[Incoming]) -> None:
        self._back.extendleft(reversed(taken))

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await consumer.stop()
        except (TimeoutError, aiokafka.errors.KafkaError):
            return


def _incoming(partition: Any, record: Any) -> Incoming:
    headers = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    key = (record.key or b"").decode(errors="replace")
    place = f"{partition.topic}/{partition.partition}/{record.offset}"
    return Incoming(place, key, record.value or b"", headers, (partition, record.offset))


@asynccontextmanager
async def _away() -> AsyncIterator[None]:
    try:
        yield
    except (aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError):
        raise BrokerRefused("Kafka takes no message as large as this.", cure="Raise its message.max.bytes.") from None
    except aiokafka.errors.CommitFailedError:
        raise BrokerAway(
            "The partition went to another member of the group; it hands the messages out again."
        ) from None
    except (aiokafka.errors.KafkaError, OSError, TimeoutError) as error:
        raise BrokerAway(f"Kafka does not answer ({type(error).__name__}).") from None
