"""What the keeper itself has to say in the chain: under which leases it wrote, and that commits are gone."""

from __future__ import annotations

from rco.model.decision import Decision, Verb
from rco.model.version import named
from rco.store.contract.rewind import Rewind
from rco.store.pools import Pools, byte_of

__all__ = ["doubt_decision", "leases_decision", "rewound_decision"]


def leases_decision(node: str, at_us: int, leases: dict[int, tuple[int, int]], pools: Pools) -> Decision:
    """From this link on the chain is written under these leases: epoch and time of the take-over by shard. Those of
    pools stand by themselves, by version and place in it: numbers of pools are given again, names are not.

    A stranger can tell from it that no former owner wrote to a run after the next one.
    """
    free: list[str] = []
    pooled: list[str] = []
    for shard, (epoch, since_us) in sorted(leases.items()):
        text = f"{byte_of(shard)}:{epoch}:{since_us}"
        if pin := pools.pin(shard):
            pooled.append(f"{named(pin)}/{text}")
        else:
            free.append(text)
    facts: dict[str, str | int | bool] = {"leases": " ".join(free)}
    if pooled:
        facts["pools"] = " ".join(pooled)
    return Decision(verb=Verb.NODE, at_us=at_us, actor=f"node:{node}", reason="leases", facts=facts)


def doubt_decision(node: str, at_us: int, chain: str) -> Decision:
    """The heartbeat saw this chain behind what was known of it. It stays in no chain unless that was wrong."""
    return Decision(verb=Verb.RECONCILE, at_us=at_us, actor=f"node:{node}", subject=chain, reason="history doubted")


def rewound_decision(rewind: Rewind) -> Decision:
    """The first thing that is written behind what was found."""
    return Decision(
        verb=Verb.RECONCILE,
        at_us=rewind.at_us,
        actor=f"node:{rewind.node}",
        allow=False,
        subject=rewind.chain,
        reason="history rewound",
        facts={
            "known": rewind.known_n,
            "found": rewind.found_n,
            "shards": " ".join(str(shard) for shard in rewind.shards),
        },
    )
