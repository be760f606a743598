"""The settings of what is told to brokers, and of what they bring."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rco.relay.topics import TOPICS

__all__ = ["PublishSettings", "SourceSettings"]

Topic = Literal[
    "interop.webhook.accepted.v1",
    "interop.put.accepted.v1",
    "audit.event.v1",
    "interop.bridge.brownout.v1",
    "shutdown.v1",
    "config.updated.v1",
]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class PublishSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to one broker: digests, names and reasons; never a payload."""

    broker: str
    """One of `brokers`."""
    topics: list[Topic] = msgspec.field(default_factory=lambda: list(TOPICS))  # type: ignore[arg-type]


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Events that a broker brings. Who may write to its topic is authority there: each message counts as proven to come
    from this source, and what it may start is for `grants` and `subscriptions` to say, under this source's name."""

    broker: str
    """One of `brokers`."""
    topic: Name
    group: Name = "rco"
    """All nodes are one group: each message is taken by one of them."""
    format: Literal["cloudevents", "json"] = "cloudevents"
    """`cloudevents`: structured, or binary with its attributes in headers. `json`: a bare value of the type `type`."""
    type: str = ""
    """The event's type where the message has none; needed for `json`."""
    namespace: str = "default"
    batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    """The most messages that are taken at a time."""
    dedupe_s: Annotated[float, Meta(gt=0, le=31_536_000)] = 604_800.0
    """For how long a message that comes again is recognised."""
