"""What goes out: governed calls to targets, webhooks to endpoints, and fetching of certificates."""

from __future__ import annotations

import random
from functools import partial

from rco.assembly.ground import Ground
from rco.bridge.certificates import Certificates
from rco.config.settings import Settings
from rco.egress.client import Egress
from rco.egress.fetch import Fetcher, system_roots
from rco.egress.sharing import Sharing
from rco.model.target import NamespaceLimits
from rco.store.contract.keeper import Keeper
from rco.store.contract.news import Topic
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics
from rco.webhooks.book import Book
from rco.webhooks.hooks import Hooks
from rco.webhooks.safe import Safe, sealing_key
from rco.webhooks.sender import Sender

__all__ = ["bounds_of", "open_certificates", "open_egress", "open_hooks", "share_limits"]


def share_limits(ground: Ground, keeper: Keeper, node: str) -> Sharing:
    """What limits are kept in beyond this process. The egress to the targets starts and stops it."""
    return Sharing(
        keeper.reader,
        f"{node}#{keeper.epoch}",
        ground.clock,
        leased=keeper.ownership.shards() is not None,
        random=random.random,
        trouble=ground.warn("limits.behind"),
        hear=partial(keeper.on_news, Topic.CLOSED),
    )


async def open_egress(ground: Ground, keeper: Keeper, sharing: Sharing) -> Egress:
    """The egress to the targets, under limits that all nodes share."""
    settings, clock = ground.settings, ground.clock
    egress = Egress(
        settings.targets.values(),
        clock=clock,
        ids=ground.ids,
        resolve_secret=ground.secrets,
        metrics=ground.metrics,
        may_send=lambda: clock.monotonic() < keeper.ownership.act_until_s,
        sharing=sharing,
        namespaces=bounds_of(settings),
    )
    await egress.start()
    ground.stops.append(egress.stop)
    return egress


def bounds_of(settings: Settings) -> dict[str, NamespaceLimits]:
    """The limits of calls by namespace."""
    return {one.namespace: one for one in settings.namespace_limits}


def open_certificates(ground: Ground) -> Certificates:
    """The certificates that providers sign with."""
    fetcher = Fetcher()
    ground.stops.append(fetcher.stop)
    return Certificates(fetcher, ground.clock, system_roots)


async def open_hooks(ground: Ground, keeper: Keeper, sharing: Sharing) -> Hooks:
    """What sends webhooks to endpoints: an egress of its own, under rates that all nodes share, and who wants what."""
    options, clock, ids = ground.settings.webhooks, ground.clock, ground.ids
    key = None
    if options.key:
        key = sealing_key(ground.secrets(options.key))
    elif not ground.where.startswith(("postgres:", "postgresql:")):
        key = ground.own_key("webhooks.key")
    # By endpoint there would be too many series: what is counted of webhooks is counted by the sender.
    egress = Egress(
        (),
        clock=clock,
        ids=ids,
        resolve_secret=ground.secrets,
        metrics=Metrics(),
        may_send=lambda: clock.monotonic() < keeper.ownership.act_until_s,
        sharing=sharing,
        alone=True,
        limited=lambda limit: ground.metrics.counter(signals.WEBHOOK_HELD_BACK, limit=limit).add(),
    )
    await egress.start()
    ground.stops.append(egress.stop)
    safe = Safe(key, ground.secrets, ids)
    sender = Sender(egress, safe, options, clock=clock, ids=ids, metrics=ground.metrics, random=random.random)
    book = Book(keeper.reader, ground.warn("webhooks.behind"), hear=partial(keeper.on_news, Topic.ENDPOINTS))
    await book.start()
    ground.stops.append(book.stop)
    for state in ("enabled", "disabled"):
        ground.metrics.gauge(signals.WEBHOOK_ENDPOINTS, state=state).watch(partial(book.count, state))
    return Hooks(keeper.reader, book, sender)
