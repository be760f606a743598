"""The office: the authority of a node with all that keeps it current."""

from __future__ import annotations

from collections.abc import Callable

from rco.capability.authority import Authority
from rco.capability.feed import Feed
from rco.capability.options import CapabilityOptions
from rco.capability.revoked import Revoked
from rco.capability.source import KeptRing, Load
from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.store.contract.revocations import Revocations

__all__ = ["Office"]


class Office:
    """Keyring, revocations and authority. A ``Lives``; after ``start`` both have been read once."""

    def __init__(
        self,
        options: CapabilityOptions,
        load: Load,
        store: Revocations,
        *,
        clock: Clock,
        ids: Ids,
        changed: Callable[[set[str], set[str]], None],
        trouble: Callable[[BaseException], None],
    ) -> None:
        self.ring = KeptRing(load, changed=changed, trouble=trouble)
        self.revoked = Revoked(clock)
        self.feed = Feed(store, self.revoked, clock, trouble=trouble)
        self.authority = Authority(
            self.ring,
            self.revoked,
            clock=clock,
            ids=ids,
            audience=options.audience,
            life_max_s=options.life_max_s,
        )
        self._clock = clock

    async def start(self) -> None:
        """Raises ``ConfigInvalid`` without a keyring, ``StoreError`` when store or Vault give no answer."""
        await self.ring.start()
        await self.feed.start()

    async def stop(self) -> None:
        """May be called before ``start`` and twice."""
        await self.feed.stop()
        await self.ring.stop()

    def ready(self) -> bool:
        """Whether rights can be given and checked now."""
        try:
            self.revoked.require_fresh()
        except StoreError:
            return False
        return self.ring().minting(self._clock.now_us(), self.revoked.kids) is not None
