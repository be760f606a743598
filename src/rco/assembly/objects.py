"""The keeper of objects, and the large payloads of runs that are kept in it."""

from __future__ import annotations

from rco.assembly.ground import Ground
from rco.encryption.keys import Keys
from rco.errors import StoreError
from rco.objects.contract import Objects
from rco.objects.leftovers import Collector
from rco.operations.payload_gc import PayloadGc
from rco.operations.payload_meter import PayloadMeter
from rco.payloads.keeping import PayloadStore
from rco.store.contract.keeper import Keeper

__all__ = ["ObjectsOnce", "collector", "open_payloads"]


class ObjectsOnce:
    """The keeper of objects, opened when the first asks for it, once for all who use it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._opened: Objects | None = None

    async def __call__(self) -> Objects:
        """The keeper, started, and what crashes leave in it collected."""
        if self._opened is None:
            from rco.objects.opening import open_objects

            ground = self._ground
            objects = open_objects(
                ground.settings.objects, ground.data, clock=ground.clock, ids=ground.ids, resolve=ground.secrets
            )
            ground.stops.append(objects.stop)
            try:
                await objects.start()
            except StoreError as problem:
                # Away now, it may come back. Runs without large payloads need not wait for it.
                if ground.settings.content.enabled:
                    raise
                ground.warn("payloads.behind")(problem)
            collector = Collector(
                objects,
                lambda count: ground.log.info("objects.collected", count=count),
                ground.warn("objects.behind"),
            )
            await collector.start()
            ground.stops.append(collector.stop)
            self._opened = objects
        return self._opened


async def open_payloads(ground: Ground, keeper: Keeper, keys: Keys | None, objects: ObjectsOnce) -> PayloadStore | None:
    """Where large payloads are kept: where they are to be, and where some are from before."""
    options = ground.settings.payloads
    if not options.object_store_over_bytes and not await keeper.reader.any_payloads():
        return None
    sealing = None
    if keys is not None:
        from rco.encryption.objects import ObjectSealing

        sealing = ObjectSealing(keys)
    return PayloadStore(
        await objects(),
        await keeper.reader.payload_space(),
        ground.ids,
        over_bytes=options.object_store_over_bytes,
        timeout_s=options.timeout_s,
        sealing=sealing,
        told=PayloadMeter(ground.metrics, ground.warn("payloads.behind")),
    )


def collector(ground: Ground, keeper: Keeper, payloads: PayloadStore | None) -> PayloadGc | None:
    """What removes objects that nothing refers to any more, where there may be any."""
    if payloads is None:
        return None
    from rco.payloads.sweeping import Sweeper

    return PayloadGc(Sweeper(payloads.objects, keeper.reader, payloads.space), ground.settings.payloads)
