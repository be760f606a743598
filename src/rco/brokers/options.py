"""The settings of brokers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["BrokerSettings"]

Seconds = Annotated[float, Meta(gt=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=100_000_000)]


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One broker. What is durable is what its own settings make durable; see the how-to."""

    kind: Literal["nats", "kafka", "redis"]
    url: str
    """`nats://host:4222`, `host:9092,host:9092` for Kafka, `redis://host:6379`; or a reference to one that holds a
    password (`env:NAME`, `file:/path`)."""
    timeout_s: Seconds = 10.0
    """Without an answer for so long the broker is taken for away."""
    stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "RCO"
    """NATS: the JetStream stream that holds the topics; made where it is missing."""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """Copies of a stream or topic that is made here."""
    partitions: Annotated[int, Meta(ge=1, le=1000)] = 6
    """Kafka: partitions of a topic that is made here."""
    keep: Count = 1_000_000
    """NATS and Redis: about so many messages of a stream that is made here are kept; the oldest go first."""
    dedupe_s: Seconds = 120.0
    """NATS: repeats within it are dropped by the server."""
    claim_after_s: Seconds = 60.0
    """NATS and Redis: what a member of a group took so long ago and has not settled goes to another."""
    tls: bool = False
    """Kafka: speak TLS, with the system's certificates. The other addresses say it themselves (`tls://`, `rediss://`)."""
    user: str = ""
    """Kafka: the user of SASL/SCRAM-SHA-512; empty for none."""
    password: str = ""
    """Kafka: a reference to its password."""
