"""The brokers: what is published to them, and what is taken from them."""

from __future__ import annotations

import random
from collections.abc import Callable

from rco.assembly.ground import Ground
from rco.operations.desk import Desk
from rco.operations.relaying import Relaying, say_goodbye
from rco.store.contract.keeper import Keeper

__all__ = ["start_relaying"]


async def start_relaying(ground: Ground, keeper: Keeper, node: str, desk: Callable[[], Desk]) -> Relaying:
    """Start what relays, events for subscriptions among it; at its end brokers are told that this node goes."""
    settings = ground.settings
    relaying = Relaying(
        settings.brokers,
        settings.publish,
        settings.sources,
        desk=desk,
        reader=keeper.reader,
        ownership=keeper.ownership,
        opened=ground.secrets.opened,
        node=node,
        random=random.random,
    )
    if settings.brokers:
        keeper.writer.on_flush(lambda _: relaying.wake())
    await relaying.publish_for(settings.subscriptions)
    await relaying.start()
    ground.stops.append(relaying.stop)
    ground.stops.append(lambda: say_goodbye(desk()))
    return relaying
