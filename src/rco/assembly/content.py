"""The content store: its objects, opened and watched, and its application."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rco.assembly.ground import Ground
from rco.assembly.objects import ObjectsOnce
from rco.bridge.brownout import Sentinel
from rco.bridge.dependency import Dependency
from rco.objects.content import ContentStore
from rco.operations.access import Access
from rco.operations.desk import Desk
from rco.server.framing import App
from rco.server.health import ReadyCheck
from rco.server.ingress import Ingress

__all__ = ["Content", "open_content"]


@dataclass(frozen=True, slots=True)
class Content:
    """The store, its application, and whether its objects can be reached."""

    store: ContentStore
    app: App
    reached: ReadyCheck


async def open_content(
    ground: Ground, ingress: Ingress, sentinel: Sentinel, access: Access, desk: Callable[[], Desk], once: ObjectsOnce
) -> Content | None:
    """The content store, where it is wanted. Uploads are admitted as webhooks are."""
    settings = ground.settings
    if not settings.content.enabled:
        return None
    from rco.objects.insisting import Insisting
    from rco.server.content import ContentApp

    objects = await once()
    store = ContentStore(Insisting(objects, ground.clock, random.random))
    app = ContentApp(
        store,
        desk,
        access,
        ground.clock,
        options=settings.content,
        json_limit_bytes=settings.limits.body_limit_bytes,
        read_timeout_s=settings.server.read_timeout_s,
        admit=ingress.admit,
        sentinel=sentinel,
    )
    reached = Dependency(
        "objects",
        lambda: objects.seen("health/probe"),
        clock=ground.clock,
        metrics=ground.metrics,
        told=sentinel.asked,
    )
    await reached.start()
    ground.stops.append(reached.stop)
    return Content(store, app, lambda: reached.well)
