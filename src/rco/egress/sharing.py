"""What limits are kept in beyond one process: the ledger behind leases, and what is closed."""

from __future__ import annotations

from collections.abc import Callable

from rco.egress.closures import Closures
from rco.egress.leaser import Leaser
from rco.kit.clock import Clock
from rco.kit.lookout import Hear, deaf
from rco.store.contract.limit_states import LimitStates

__all__ = ["Sharing"]


class Sharing:
    """``leased``: several nodes share the database, so rate and concurrency are leased too; else they are in memory,
    and only budgets and closures are written down."""

    def __init__(
        self,
        store: LimitStates,
        holder: str,
        clock: Clock,
        *,
        leased: bool,
        random: Callable[[], float],
        trouble: Callable[[BaseException], None] = lambda _: None,
        hear: Hear = deaf,
    ) -> None:
        """``holder`` is a name that no other life of any node has. ``hear`` tells when something was closed or
        opened."""
        self.leased = leased
        self.closures = Closures(store, holder, clock, shared=leased, trouble=trouble, hear=hear)
        self.leaser = Leaser(store, holder, clock, random=random, trouble=trouble)

    async def start(self) -> None:
        """Returns when what is closed is known. Raises ``StoreError``."""
        await self.closures.start()
        await self.leaser.start()

    async def stop(self) -> None:
        """Give back what is leased. May be called before ``start`` and twice."""
        await self.leaser.stop()
        await self.closures.stop()
