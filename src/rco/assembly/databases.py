"""The users' own databases: for transactional steps, and the outboxes that are read in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rco.assembly.ground import Ground
from rco.datasource.entry import Entry, Handled
from rco.datasource.options import Outbox
from rco.datasource.sources import Datasources
from rco.operations.desk import Desk
from rco.operations.outbox_entry import take_entry
from rco.store.contract.keeper import Keeper
from rco.store.opening import need_postgres

__all__ = ["open_databases", "start_cleaners", "start_outboxes"]


def open_databases(ground: Ground, keeper: Keeper) -> Datasources:
    """The databases by name. Raises ``ConfigInvalid`` when there are any and their library is not there."""
    settings, clock = ground.settings, ground.clock
    if not settings.databases:
        return Datasources({})
    need_postgres()
    # The driver takes long to load: not where nobody needs it.
    from rco.datasource.steps import Datasource

    databases = Datasources(
        {
            name: Datasource(
                database,
                partial(ground.secrets, database.dsn),
                clock=clock,
                metrics=ground.metrics,
                may_commit=lambda: clock.monotonic() < keeper.ownership.act_until_s,
                value_limit_bytes=settings.engine.value_limit_bytes,
            )
            for name, database in settings.databases.items()
        }
    )
    ground.stops.append(databases.stop)
    return databases


async def start_cleaners(ground: Ground, keeper: Keeper, databases: Datasources) -> None:
    """Remove, in each database, the marks of steps whose runs have closed."""
    for database in databases:
        from rco.datasource.cleaning import Cleaner

        cleaner = Cleaner(
            database, keeper.reader, keeper.ownership, ground.metrics, ground.warn("datasource.cleaning_failed")
        )
        await cleaner.start()
        ground.stops.append(cleaner.stop)


async def start_outboxes(ground: Ground, databases: Datasources, desk: Callable[[], Desk]) -> None:
    """Take what applications leave in the outboxes."""

    async def take(outbox: Outbox, entry: Entry) -> Handled:
        return await take_entry(desk(), outbox, entry)

    def failed(name: str, problem: Exception) -> None:
        ground.log.warning("outbox.failed", detail=name, error=problem)

    for outbox in ground.settings.outboxes.values():
        from rco.datasource.outbox import OutboxReader

        reader = OutboxReader(
            outbox,
            databases(outbox.database),
            partial(take, outbox),
            clock=ground.clock,
            metrics=ground.metrics,
            trouble=failed,
        )
        await reader.start()
        ground.stops.append(reader.stop)
