"""Redis streams: a stream for each topic, a consumer group for each group.

What it acknowledges is as durable as its append-only file: ``appendfsync always`` for every message, ``everysec`` for
all but the last second. Streams are trimmed as they grow, never by who reads, since others may read them too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import redis.exceptions

from rco.brokers.contract import BODY_LIMIT_BYTES, Incoming, Outgoing
from rco.brokers.options import BrokerSettings
from rco.errors import BrokerAway, BrokerRefused

__all__ = ["RedisBroker"]

_ID, _KEY, _BODY, _HEADER = b"id", b"key", b"body", b"h:"


class RedisBroker:
    """Implements ``rco.brokers.contract.Broker``. ``member`` is this process's name in groups."""

    def __init__(self, settings: BrokerSettings, url: str, member: str) -> None:
        self._settings, self._url, self._member = settings, url, member
        self._client: Any = None

    async def start(self) -> None:
        self._client = redis.asyncio.Redis.from_url(
            self._url,
            socket_timeout=self._settings.timeout_s,
            socket_connect_timeout=self._settings.timeout_s,
            # An XADD that may have been done is not done again behind our back: who publishes decides.
            retry=None,
            retry_on_error=[],
        )
        try:
            async with _away():
                await self._client.ping()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if len(message.body) > BODY_LIMIT_BYTES:
                raise BrokerRefused(f"a message of {len(message.body)} bytes; {BODY_LIMIT_BYTES} is the limit.")
        async with _away():
            pipeline = _open(self._client).pipeline(transaction=False)
            for message in messages:
                fields: dict[Any, Any] = {_ID: message.id, _KEY: message.key, _BODY: message.body}
                fields |= {_HEADER + name.encode(): value for name, value in message.headers.items()}
                pipeline.xadd(message.topic, fields, maxlen=self._settings.keep, approximate=True)
            await pipeline.execute()

    async def source(self, topic: str, group: str) -> RedisSource:
        source = RedisSource(_open(self._client), topic, group, self._member, self._settings)
        async with _away():
            await source.join()
        return source


class RedisSource:
    """Implements ``rco.brokers.contract.Source``."""

    def __init__(self, client: Any, topic: str, group: str, member: str, settings: BrokerSettings) -> None:
        self._client, self._topic, self._group, self._member = client, topic, group, member
        self._idle_ms = round(settings.claim_after_s * 1000)
        self._patience_s = settings.timeout_s
        self._back: list[Incoming] = []
        self._own_from: str | None = "0"
        """Where to go on among what this member took in an earlier life; ``None`` when that is done with."""
        self._quiet = True

    async def join(self) -> None:
        """Make the group, from the first message, where it is missing: also after a Redis that came back empty."""
        try:
            await self._client.xgroup_create(self._topic, self._group, id="0", mkstream=True)
        except redis.exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def take(self, limit: int, wait_s: float) -> list[Incoming]:
        if self._back:
            taken, self._back = self._back[:limit], self._back[limit:]
            return taken
        async with _away():
            try:
                return await self._take(limit, wait_s)
            except redis.exceptions.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self.join()
                self._own_from = "0"
                return []

    async def _take(self, limit: int, wait_s: float) -> list[Incoming]:
        if self._own_from is not None:
            found = await self._read(self._own_from, limit, None)
            if found:
                self._own_from = found[-1].held
                return found
            self._own_from = None
        if self._quiet:
            # Of members that are gone: what they took and never settled.
            claimed = await self._client.xautoclaim(
                self._topic, self._group, self._member, self._idle_ms, start_id="0-0", count=limit
            )
            found = self._read_rows(claimed[1])
            if found:
                return found
        # Shorter than the socket's own patience, or a quiet stream would look like a lost connection.
        found = await self._read(">", limit, max(1, round(min(wait_s, self._patience_s / 2) * 1000)))
        self._quiet = not found
        return found

    async def _read(self, after: str, limit: int, block_ms: int | None) -> list[Incoming]:
        found = await self._client.xreadgroup(
            self._group, self._member, {self._topic: after}, count=limit, block=block_ms
        )
        if not found:
            return []
        rows = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
        return self._read_rows(rows)

    def _read_rows(self, rows: Any) -> list[Incoming]:
        # What was trimmed away while it was held has no fields any more.
        return [self._incoming(identity, fields) for identity, fields in rows if fields]

    def _incoming(self, identity: bytes, fields: dict[bytes, bytes]) -> Incoming:
        place = identity.decode()
        headers = {
            name.removeprefix(_HEADER).decode(): value.decode(errors="replace")
            for name, value in fields.items()
            if name.startswith(_HEADER)
        }
        if _ID in fields:
            headers["id"] = fields[_ID].decode(errors="replace")
        key = fields.get(_KEY, b"").decode(errors="replace")
        return Incoming(f"{self._topic}/{place}", key, fields.get(_BODY, b""), headers, place)

    async def settle(self, taken: Sequence[Incoming]) -> None:
        if taken:
            async with _away():
                await self._client.xack(self._topic, self._group, *[one.held for one in taken])

    async def give_back(self, taken: Sequence[Incoming]) -> None:
        self._back = [*taken, *self._back]

    async def stop(self) -> None:
        """What is held stays in the group under this member's name: it goes on with it, or another claims it."""
        self._back = []


def _open(client: Any) -> Any:
    if client is None:
        raise BrokerAway("The connection to Redis is closed.")
    return client


@asynccontextmanager
async def _away() -> AsyncIterator[None]:
    try:
        yield
    except (TimeoutError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise BrokerAway(f"Redis does not answer ({type(error).__name__}).") from None
    except redis.exceptions.ResponseError as error:
        word = str(error).partition(" ")[0]
        if word in ("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "CLUSTERDOWN", "TRYAGAIN"):
            raise BrokerAway(f"Redis takes nothing now ({word}).") from None
        raise BrokerRefused(f"Redis refuses it: {error}.") from None
