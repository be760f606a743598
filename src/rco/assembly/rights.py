"""Who may do what, and what is written so that only its namespace can read it: the office, the keys, the access."""

from __future__ import annotations

from collections.abc import Callable

from rco.assembly.ground import Ground
from rco.capability.fresh_ring import FreshRing
from rco.capability.office import Office
from rco.capability.source import KeptRing, Load, source_of
from rco.config.rings import payload_ring
from rco.encryption.keys import Keys
from rco.engine.engine import Engine
from rco.errors import ConfigInvalid
from rco.operations.access import Access
from rco.operations.clearance import Granting
from rco.operations.policy import Policy
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.keeper import Keeper
from rco.store.contract.reader import Reader
from rco.telemetry import signals

__all__ = ["access_of", "open_keys", "open_office", "opened_by", "watch_erasure"]


async def open_office(ground: Ground, keeper: Keeper, changed: Callable[[set[str], set[str]], None]) -> Granting | None:
    """The office that gives rights, where they are needed. ``changed`` is told which keys came and which went."""
    settings = ground.settings
    if not settings.capability.enforce:
        return None
    load: Load = FreshRing(ground.clock, ground.ids)
    if not settings.amnesia.enabled:
        load = source_of(settings.capability, settings.vault, ground.data / "keyring.json", ground.secrets)
    office = Office(
        settings.capability,
        load,
        keeper.reader,
        clock=ground.clock,
        ids=ground.ids,
        changed=changed,
        trouble=ground.warn("capability.behind"),
    )
    ground.stops.append(office.stop)
    await office.start()
    ground.metrics.gauge(signals.REVOCATIONS).watch(lambda: len(office.revoked))
    ground.metrics.gauge(signals.REVOCATION_SILENCE).watch(lambda: office.revoked.silent_s)
    return Granting(office, Policy(settings.grants), ground.metrics, ttl_s=settings.capability.ttl_s)


def access_of(ground: Ground, keeper: Keeper, granting: Granting | None) -> Access:
    """Who is at a door."""
    return Access(keeper.reader, ground.clock, None if granting is None else granting.authority)


async def open_keys(ground: Ground, keeper: Keeper) -> Keys | None:
    """The keys of namespaces, open, where there may be any."""
    settings, trouble = ground.settings, ground.warn("encryption.behind")
    if not settings.encryption.keys:
        if (await keeper.reader.namespace_keys(0, 1)).keys:
            raise ConfigInvalid(
                "the store holds keys of namespaces, and encryption.keys is not set: their payloads would be"
                " written as they are",
                cure="Set encryption.keys as on the other nodes.",
                key="encryption.keys",
            )
        return None
    from rco.encryption.concealing import Concealing

    ring = KeptRing(
        source_of(payload_ring(settings), settings.vault, ground.data / "keyring.json", ground.secrets),
        trouble=trouble,
    )
    ground.stops.append(ring.stop)
    await ring.start()
    keys = Keys(keeper.reader, ring, ground.clock, ground.ids, trouble=trouble)
    # Forgotten last: what is still flushed at a stop is encrypted like the rest.
    ground.stops.insert(0, keys.stop)
    await keys.start()
    keeper.writer.conceal_with(Concealing(keys))
    ground.metrics.gauge(signals.NAMESPACE_KEYS).watch(lambda: len(keys))
    return keys


def opened_by(keys: Keys | None, reader: Reader) -> Reader:
    """``reader``, with what is encrypted opened."""
    if keys is None:
        return reader
    from rco.encryption.revealing import revealing

    return revealing(reader, keys)


async def watch_erasure(ground: Ground, keys: Keys, engine: Engine, scheduler: Scheduler, keeper: Keeper) -> None:
    """End what belongs to a namespace when its key is erased, here or on another node."""
    from rco.operations.erasure import Erasure

    engine.refuse_with(keys.require_open)
    erasure = Erasure(
        keys, engine, scheduler, keeper.writer, now_us=ground.clock.now_us, trouble=ground.warn("encryption.behind")
    )
    ground.stops.append(erasure.stop)
    await erasure.start()
