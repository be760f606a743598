"""Which broker is behind a setting. Its library is imported only then: each is an extra of the package."""

from __future__ import annotations

from collections.abc import Callable

from rco.brokers.contract import Broker
from rco.brokers.options import BrokerSettings
from rco.errors import ConfigInvalid

__all__ = ["open_broker"]


def open_broker(name: str, settings: BrokerSettings, opened: Callable[[str], str], member: str) -> Broker:
    """A broker that is not started. ``opened`` gives what a reference stands for; ``member`` names this process in
    groups, the same in each of its lives. Raises ``ConfigInvalid`` when the library is missing."""
    url = opened(settings.url)
    try:
        match settings.kind:
            case "nats":
                from rco.brokers.nats import NatsBroker

                return NatsBroker(settings, url)
            case "redis":
                from rco.brokers.redis import RedisBroker

                return RedisBroker(settings, url, member)
            case "kafka":
                from rco.brokers.kafka import KafkaBroker

                return KafkaBroker(settings, url, opened(settings.password), member)
    except ImportError:
        raise ConfigInvalid(
            f"a broker of kind {settings.kind} needs a library that is not installed",
            cure=f"Install rco with the extra {settings.kind}: pip install 'rco[{settings.kind}]'.",
            key=f"brokers.{name}",
        ) from None
