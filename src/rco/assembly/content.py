"""The content store: its objects, opened and watched, its application, and large webhooks that come into it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from rco.assembly.ground import Ground
from rco.assembly.objects import ObjectsOnce
from rco.bridge.brownout import Sentinel
from rco.bridge.dependency import Dependency
from rco.config.settings import Settings
from rco.encryption.keys import Keys
from rco.objects.content import ContentStore
from rco.objects.contract import Dropping, Objects
from rco.objects.insisting import Insisting
from rco.objects.staging import StagedObjects, StagingRows
from rco.operations.access import Access
from rco.operations.desk import Desk
from rco.operations.drop_content import ContentCut
from rco.operations.receive import require_room
from rco.server.framing import App
from rco.server.health import ReadyCheck
from rco.server.ingress import Ingress
from rco.server.large_bodies import LargeBodies
from rco.telemetry import signals
from rco.workflow.body import no_contents

__all__ = ["Content", "Contents", "large_bodies", "open_content"]


class Contents:
    """The content store, opened when the first asks for it: at the start, or with the reload that first needs it."""

    def __init__(self, ground: Ground, objects: ObjectsOnce, keys: Keys | None, rows: StagingRows) -> None:
        """``rows``: where small content stands until it is moved."""
        self._ground, self.objects, self._keys, self._rows = ground, objects, keys, rows
        self.held: ContentStore | None = None

    async def open(self) -> ContentStore:
        """The store. A second call gives the same."""
        if self.held is None:
            sealing = None
            if self._keys is not None:
                from rco.encryption.contents import KeyedContent

                sealing = KeyedContent(self._keys, self._ground.ids.secret)
            objects = Insisting(await self.objects(), self._ground.clock, random.random)
            staging = await self._staging(objects)
            self.held = ContentStore(staging or objects, sealing, staging)
        return self.held

    async def _staging(self, objects: Objects) -> StagedObjects | None:
        """``None`` where content is in memory anyway."""
        ground = self._ground
        if ground.settings.objects.place == "memory":
            return None
        staging = StagedObjects(
            objects,
            self._rows,
            ground.clock,
            limit_bytes=ground.settings.content.staged_limit_bytes,
            trouble=ground.warn("content.behind"),
        )
        await staging.start()
        ground.stops.append(staging.stop)
        ground.metrics.gauge(signals.OBJECTS_STAGED).watch(lambda: staging.waiting)
        return staging

    async def open_for(self, settings: Settings) -> None:
        """Open it if a provider may send what is streamed to it."""
        if settings.any_large:
            await self.open()

    def cut(self) -> ContentCut | None:
        """What drops content whose time is over; ``None`` where the place does that by rules of its own."""
        if self._ground.settings.objects.in_bucket:
            return None

        async def dropping() -> Dropping:
            # What is no bucket is one.
            return cast("Dropping", await self.objects())

        async def put_lately(keys: list[str]) -> set[str]:
            staging = (await self.open()).staging
            return set() if staging is None else await staging.among(keys)

        return ContentCut(dropping, put_lately)

    def for_steps(self) -> ContentStore:
        """The store, once it is open. Raises ``Misuse`` where it is not."""
        return self.held or no_contents()


def large_bodies(ground: Ground, contents: Contents, desk: Callable[[], Desk]) -> LargeBodies:
    """Where webhooks go that are too large to hold."""
    return LargeBodies(
        lambda: contents.held,
        ground.clock,
        options=ground.settings.content,
        read_timeout_s=ground.settings.server.read_timeout_s,
        room=lambda delivery: require_room(desk(), delivery),
        told=ground.metrics.counter(signals.INTEROP_CONTENT_BYTES, direction="in").add,
        max_ratio=ground.settings.decompression.max_ratio,
    )


@dataclass(frozen=True, slots=True)
class Content:
    """The store, its application where it is wanted, and whether its objects can be reached."""

    store: ContentStore
    app: App | None
    reached: ReadyCheck


async def open_content(
    ground: Ground, ingress: Ingress, sentinel: Sentinel, access: Access, desk: Callable[[], Desk], contents: Contents
) -> Content | None:
    """The content store, where it is wanted, or needed for webhooks. Uploads are admitted as webhooks are."""
    settings = ground.settings
    if not settings.content.enabled and not settings.any_large:
        return None
    store, objects = await contents.open(), await contents.objects()
    app: App | None = None
    if settings.content.enabled:
        from rco.server.content import ContentApp

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
