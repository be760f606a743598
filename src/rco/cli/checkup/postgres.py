"""The server of a PostgreSQL store and the nodes on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rco.cli.checkup.report import Found, fail, ok, warn
from rco.kit.clock import Clock, iso
from rco.store.contract.snapshot import NodeRow, Snapshot
from rco.store.postgres import examine
from rco.store.postgres.snapshot import PostgresSnapshot

__all__ = ["clocks", "journal", "leases", "nodes", "rewinds", "server"]

CONNECTIONS_FULL = 0.85
LAG_LARGE_BYTES = 64 << 20
CLOCK_OFF_US = 500_000
CLOCK_WRONG_US = 10_000_000
SHOWN = 5


def server(snapshot: PostgresSnapshot) -> Iterator[Found]:
    """Version, settings, connections, standbys."""
    found = examine.server(snapshot)
    said = f"{found.database} on PostgreSQL {found.version}, {found.size_bytes >> 20} MiB, schema {snapshot.schema()}"
    if found.major < examine.OLDEST:
        yield fail("database", said, f"Move to PostgreSQL {examine.OLDEST} or newer.")
    else:
        yield ok("database", said + (", a standby" if found.standby else ""))
    if found.unsafe:
        names = ", ".join(f"{name} = off" for name in found.unsafe)
        yield fail("durability", f"{names}: it may lose what it acknowledged", "Set them on; nodes refuse to start.")
    else:
        yield ok(
            "durability", ", ".join(f"{name} = {value}" for name, value in sorted(found.settings.items()) if value)
        )
    said = f"{found.connections} of {found.connections_max} in use"
    if found.connections > found.connections_max * CONNECTIONS_FULL:
        yield warn("connections", said, "Lower store.readers, put a pooler in front, or raise max_connections.")
    else:
        yield ok("connections", said)
    yield _standbys(snapshot)


def _standbys(snapshot: PostgresSnapshot) -> Found:
    there = examine.standbys(snapshot)
    if not there:
        return ok("standbys", "none: when this server's disk is lost, so is everything after the last backup")
    said = ", ".join(f"{one.name} {one.state} {one.lag_bytes >> 10} KiB behind" for one in there[:SHOWN])
    if max(one.lag_bytes for one in there) > LAG_LARGE_BYTES:
        return warn("standbys", said, "A fail-over to one that is behind loses commits: see its disk and network.")
    if not any(one.state in ("sync", "quorum") for one in there):
        cure = "Name one in synchronous_standby_names, or live with losing what was not yet copied in a fail-over."
        return warn("standbys", f"{said}; none is synchronous", cure)
    return ok("standbys", said)


def clocks(snapshot: PostgresSnapshot, clock: Clock) -> Iterator[Found]:
    """This machine and every living node against the server. Leases do not depend on it, due times do."""
    ahead_us, unsure_us = examine.clock_ahead_us(snapshot, clock)
    apart = [("this machine", ahead_us)]
    apart += [(node.name, node.skew_us) for node in snapshot.nodes() if node.alive_s and node.skew_us is not None]
    name, worst_us = max(apart, key=lambda one: abs(one[1]))
    said = f"{name} is {abs(worst_us) / 1000:.0f} ms {'ahead of' if worst_us > 0 else 'behind'} the database"
    said += f", of {len(apart)} clocks (within {unsure_us / 1000:.0f} ms)"
    cure = "Let a time service keep it: due times and time stamps of that node are off by as much."
    if abs(worst_us) > CLOCK_WRONG_US:
        yield fail("clock skew", said, cure)
    elif abs(worst_us) > CLOCK_OFF_US:
        yield warn("clock skew", said, cure)
    else:
        yield ok("clock skew", said)


def nodes(snapshot: Snapshot) -> Iterator[Found]:
    """Who lives."""
    living = [node for node in snapshot.nodes() if node.alive_s]
    draining = [node.name for node in living if node.draining]
    if not living:
        yield warn("nodes", "none lives", "Start one if it should run.")
    elif len(draining) == len(living):
        yield warn("nodes", f"all {len(living)} are draining", "Start another, or restart one of them.")
    else:
        yield ok("nodes", f"{len(living)} live" + (f", draining: {', '.join(draining)}" if draining else ""))


def leases(snapshot: Snapshot) -> Iterator[Found]:
    """Which node owns how many shards, and which nobody does."""
    living: dict[str, NodeRow] = {node.name: node for node in snapshot.nodes() if node.alive_s}
    owned: Counter[str] = Counter()
    free = dead = 0
    for lease in snapshot.leases():
        count = lease.last - lease.first + 1
        if lease.owner is None:
            free += count
        elif lease.owner in living:
            owned[lease.owner] += count
        else:
            dead += count
    said = ", ".join(f"{name} {count}" for name, count in owned.most_common(SHOWN)) or "no node owns a shard"
    if len(owned) > SHOWN:
        said += f", {len(owned) - SHOWN} more"
    if not free and not dead:
        yield ok("leases", said)
        return
    said += "; " + ", ".join(
        text for text, count in ((f"{free} without an owner", free), (f"{dead} of dead nodes", dead)) if count
    )
    if living:
        yield warn("leases", said, "They are taken over within store.lease_ttl; if not, see the log of the nodes.")
    else:
        yield warn("leases", said, "Start a node: it takes them over.")


def rewinds(snapshot: PostgresSnapshot) -> Iterator[Found]:
    """Commits that were acknowledged and are gone."""
    found = examine.open_rewinds(snapshot)
    if not found:
        yield ok("history", "no node has missed a commit of its own")
        return
    first = found[0]
    shards = len({shard for one in found for shard in one.shards})
    said = (
        f"rewound: chain {first.chain} was at link {first.known_n} and is at {first.found_n} since {iso(first.at_us)}"
        f"; {len(found)} such, {shards} shards stand still"
    )
    yield fail("history", said, first.cure)


def journal(snapshot: PostgresSnapshot, now_us: int) -> Iterator[Found]:
    """The journal's weeks."""
    found = examine.weeks(snapshot, now_us)
    said = f"{len(found.sizes_bytes)} partitions, {sum(found.sizes_bytes.values()) >> 20} MiB"
    if found.missing and any(node.alive_s for node in snapshot.nodes()):
        cure = "A node makes them every few hours: its role must own the table journal."
        yield warn("partitions", f"{said}; {', '.join(found.missing)} not there", cure)
    elif found.rest:
        yield warn("partitions", f"{said}; rows in journal_rest", "They stay: rco store trim drops whole weeks only.")
    else:
        yield ok("partitions", said)
