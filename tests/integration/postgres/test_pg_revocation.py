"""A revocation on one node, seen on another, with and without the way between it and the database."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.servers.proxy import Proxy
from tests.unit.capability.keys import key

from rco.capability.authority import Authority
from rco.capability.feed import Feed
from rco.capability.keyring import Keyring
from rco.capability.revoked import SILENCE_S, Revoked
from rco.capability.scope import Ask
from rco.errors import RcoError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store.contract.revocations import Revocation, RevokedKind

ROUNDS = int(os.environ.get("RCO_REVOCATION_ROUNDS", "24"))
START = Ask(kind="run:start", name="fulfil")
CLOCK = SystemClock()


class Office:
    """The trust side of one node on a store."""

    def __init__(self, store: Any) -> None:
        self.revoked = Revoked(CLOCK)
        self.feed = Feed(store, self.revoked, CLOCK)
        ring = Keyring([key()])
        self.authority = Authority(
            lambda: ring, self.revoked, clock=CLOCK, ids=Ids(CLOCK), audience="rco", life_max_s=3600
        )

    def allows(self, token: Any) -> bool:
        try:
            self.authority.check(token, START)
        except RcoError:
            return False
        return True

    async def until_fresh(self) -> None:
        while not self.revoked.silent_s < SILENCE_S / 2:
            await asyncio.sleep(0.005)


async def test_no_node_allows_a_second_later_what_was_revoked(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    proxy = Proxy(postgres_server.port)
    await proxy.start()
    here, there = make_node("a"), make_node("b", dsn=postgres_server.dsn(postgres_database, proxy.port))
    await here.keeper.start()
    await there.reader.begin()
    one, other = Office(here.reader), Office(there.reader)
    await one.feed.start()
    await other.feed.start()
    took: list[tuple[float, bool]] = []
    try:
        for turn in range(ROUNDS):
            await other.until_fresh()
            token = one.authority.mint(("run:start:fulfil",), namespace="default", ttl_s=60).token
            assert other.allows(token)
            cut = turn % 2 == 1
            if cut:
                # No answer comes back any more; every other time the connections are reset as well.
                proxy.passing.clear()
                if turn % 4 == 3:
                    proxy.refuse = True
                    proxy.cut()
            entry = Revocation(kind=RevokedKind.ID, name=token.id, at_us=CLOCK.now_us(), actor="test")
            await one.feed.revoke(entry)
            durable_s = CLOCK.monotonic()
            assert not one.allows(token)
            asked_s = CLOCK.monotonic()
            while other.allows(token):
                # What is allowed was asked before a second had gone by since it was durable.
                assert asked_s < durable_s + SILENCE_S
                await asyncio.sleep(0.001)
                asked_s = CLOCK.monotonic()
            took.append((CLOCK.monotonic() - durable_s, cut))
            proxy.refuse = False
            proxy.passing.set()
        await other.until_fresh()
        assert not other.allows(token)
        assert other.revoked.seq == ROUNDS
    finally:
        await one.feed.stop()
        await other.feed.stop()
        await there.reader.stop()
        await proxy.stop()
    for cut in (False, True):
        some = sorted(seconds for seconds, was in took if was is cut)
        print(f"cut={cut}: n={len(some)} p50={some[len(some) // 2] * 1e3:.0f} ms p100={some[-1] * 1e3:.0f} ms")  # noqa: T201 - the figure, with pytest -s
