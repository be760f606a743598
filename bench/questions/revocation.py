"""Two nodes on one PostgreSQL: a capability is revoked on one, and asked about on the other until it is good no more.

200 times at scale 1. Every tenth time the way between the other node and the database is cut first, and mended
afterwards: then it must stop allowing anything, as it cannot know. Counted from the answer to the revocation.
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit, urlunsplit

import msgspec
from tests.servers.proxy import Proxy

from bench.bridge import Bridge, keyring
from bench.figure import Asked, Measured, Reach, percentile
from bench.question import Question, Round
from rco.client import Client
from rco.errors import RcoError
from rco.model.wire_capabilities import CheckAsk, MintAsk, RevokeAsk

__all__ = ["QUESTION"]

_CUT_EVERY = 10
_SCOPE = "run:start:invoice"


async def _ask(round: Round) -> list[Measured]:
    times = round.count(200, least=_CUT_EVERY)
    took: dict[bool, list[float]] = {True: [], False: []}
    async with round.place() as place:
        parts = urlsplit(place.where)
        proxy = Proxy(parts.port or 5432)
        await proxy.start()
        credentials = parts.netloc.rpartition("@")[0]
        through = urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{proxy.port}".removeprefix("@")))
        (round.folder / "keys").mkdir()
        ring = keyring(round.folder / "keys")
        far = msgspec.structs.replace(place, where=through)
        try:
            async with (
                Bridge(round.folder / "one", place, ring=ring) as one,
                Bridge(round.folder / "two", far, ring=ring) as two,
            ):
                token = (one.data / "admin.token").read_text().strip()
                async with one.client(token) as here, two.client(token) as there:
                    for turn in range(times):
                        cut = turn % _CUT_EVERY == _CUT_EVERY - 1
                        took[cut].append(await _one(here, there, proxy, cut))
        finally:
            await proxy.stop()
    every = took[True] + took[False]
    settings = {
        **place.facts,
        "revocations": len(every),
        "with_a_cut": len(took[True]),
        "p50_s": percentile(every, 50),
        "p99_s": percentile(every, 99),
        "p100_cut_s": max(took[True]),
    }
    return [Measured(name="revocation", value=max(every), settings=settings)]


async def _one(here: Client, there: Client, proxy: Proxy, cut: bool) -> float:
    """Seconds from the answer to a revocation on one node until the other allows nothing by it."""
    minted = await here.mint(MintAsk(scopes=[_SCOPE], ttl_ms=60_000))
    ask = CheckAsk(token=minted.token, scope=_SCOPE)
    async with asyncio.timeout(30):
        while not await _allows(there, ask):
            await asyncio.sleep(0.01)
    if cut:
        # Nothing comes back any more, and nothing new is let through.
        proxy.passing.clear()
        proxy.refuse = True
    try:
        await here.revoke(RevokeAsk(kind="id", name=minted.id, reason="measured"))
        durable = asked = time.perf_counter()
        while await _allows(there, ask):
            await asyncio.sleep(0.002)
            asked = time.perf_counter()
        # The last question that was still answered with yes, or the first with no, whichever began later.
        return max(0.0, asked - durable)
    finally:
        proxy.refuse = False
        proxy.passing.set()


async def _allows(client: Client, ask: CheckAsk) -> bool:
    try:
        return (await client.check_capability(ask)).good
    except RcoError:
        return False


QUESTION = Question(
    asked=(
        Asked(
            name="revocation",
            text="a revocation seen on another node, the slowest of 200, links cut among them",
            unit="s",
            reach=Reach(1, at_most=True),
        ),
    ),
    ask=_ask,
    stores=("postgresql",),
    rounds_max=1,
)
