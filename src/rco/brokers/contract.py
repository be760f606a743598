"""What a broker promises. Both directions are at least once: what is not known to be kept is sent again, what is not
settled comes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

__all__ = ["BODY_LIMIT_BYTES", "Broker", "Incoming", "Outgoing", "Source"]

BODY_LIMIT_BYTES = 1 << 20
"""The largest body that is sent. What is larger coming in is handed over all the same, for who judges it."""


class Outgoing(msgspec.Struct, frozen=True):
    """A message to a topic. Those with the same ``key`` keep their order. ``id`` is the same for every repeat, so that
    the broker, or who reads, can drop it."""

    topic: str
    key: str
    id: str
    body: bytes
    headers: dict[str, str] = {}


class Incoming(msgspec.Struct, frozen=True):
    """A message that was taken and is not settled. ``place`` names it within its topic for ever: the same for every
    repeat of it. ``held`` belongs to the source."""

    place: str
    key: str
    body: bytes
    headers: dict[str, str]
    held: Any


class Source(Protocol):
    """One member of a group that reads one topic: what it holds, no other is given. Not for two tasks at once."""

    async def take(self, limit: int, wait_s: float) -> list[Incoming]:
        """At most ``limit`` messages, in order within a key; empty when none came within ``wait_s``.

        Raises ``BrokerAway`` while the broker cannot be reached; a later call goes on.
        """
        ...

    async def settle(self, taken: Sequence[Incoming]) -> None:
        """These are done with, and all that were taken before them. Raises ``BrokerAway``: they may come again."""
        ...

    async def give_back(self, taken: Sequence[Incoming]) -> None:
        """These were not done: the next ``take`` begins with them, in their order."""
        ...

    async def stop(self) -> None:
        """Leave the group; what is not settled goes to another member. May be called twice."""
        ...


class Broker(Protocol):
    """One connection to one broker. A ``Lives``; ``start`` raises ``BrokerAway`` when it cannot be reached."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns when the broker has said of every one of them that it is kept.

        Raises ``BrokerAway`` when that is not known of all: send the same again. Raises ``BrokerRefused`` when it will
        never take one of them.
        """
        ...

    async def source(self, topic: str, group: str) -> Source:
        """Join ``group`` on ``topic``, from its first message where the group is new. Makes the topic where it is
        missing. Raises ``BrokerAway``."""
        ...
