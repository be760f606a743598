"""The reference load of the bridge: half reads of content, three in ten webhooks, two in ten puts, at 500 a second.

Sent at that rate whatever the service does; a request that finds no free connection is late, not left out. Included:
HTTP, signatures, capabilities minted and checked, content on the disk with its digest checked on the way out, events
and runs durable, evidence, metrics, limits. The sender runs on the same cores and is not counted in the CPU seconds.
"""

from __future__ import annotations

import asyncio

from bench.bridge import Bridge, whole
from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from rco.drills.load import mixed
from rco.drills.sending import Sending
from rco.measure.rig import durability
from rco.measure.usage import cpu_s, tree_cpu_s

__all__ = ["QUESTION"]

RATE_PER_S = 500.0
_WARM_S = 2.0


async def _ask(round: Round) -> list[Measured]:
    seconds = round.count(15, least=1)
    async with round.place() as place, Bridge(round.folder / "node", place) as bridge:
        async with Sending(await bridge.way("mix")) as sending:
            await sending.send(mixed("warm", RATE_PER_S))
            await asyncio.sleep(_WARM_S)
            before = cpu_s(bridge.pid) + (tree_cpu_s(place.server_pid) if place.server_pid else 0.0)
            await sending.send(mixed("load", RATE_PER_S))
            await asyncio.sleep(seconds)
            used_s = cpu_s(bridge.pid) + (tree_cpu_s(place.server_pid) if place.server_pid else 0.0) - before
            came = await sending.finish()
        told = durability(place)
    load = whole(came, "load")
    refused = load.asked - load.good
    settings = {
        **told,
        "rate_per_s": RATE_PER_S,
        "seconds": seconds,
        "mix": "50 % GET /o, 30 % POST /webhooks, 20 % POST /put; 1 KiB each",
        "evidence": "on",
        "metrics": "on",
        "capabilities": "enforced",
        "limits": "on, wide",
        "by_kind_p95_ms": {one.kind: one.p95_ms for one in came if one.phase == "load"},
        "answers": load.statuses,
        "reasons": load.reasons,
        "unsent": load.unsent,
        "sender_cpu_share": sending.cpu_s / (seconds + _WARM_S),
    }
    cost = used_s / max(1, load.asked) * 1000
    return [
        Measured(name="mixed-p95", value=load.p95_ms, cpu_s_per_1000=cost, settings=settings),
        Measured(name="mixed-p99", value=load.p99_ms, cpu_s_per_1000=cost, settings=settings),
        Measured(name="mixed-refused", value=refused, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="mixed-p95",
            text="mix of reads, webhooks and puts, 500 requests/s: answered after, p95",
            unit="ms",
            reach=Reach(15, at_most=True),
        ),
        Asked(name="mixed-p99", text="… p99", unit="ms", reach=Reach(40, at_most=True)),
        Asked(name="mixed-refused", text="… refused or not answered", unit="", reach=Reach(0, at_most=True)),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=2,
)
