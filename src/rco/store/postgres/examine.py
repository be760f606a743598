"""What a person asks of a PostgreSQL server that carries a store: which it is, how safe, how full, how far apart."""

from __future__ import annotations

import msgspec

from rco.kit.clock import Clock
from rco.store.contract.rewind import Rewind
from rco.store.postgres.migrate import DURABLE
from rco.store.postgres.partitions import week_name
from rco.store.postgres.snapshot import PostgresSnapshot

__all__ = ["OLDEST", "Server", "Standby", "Weeks", "clock_ahead_us", "open_rewinds", "server", "standbys", "weeks"]

OLDEST = 15
_SERVER = (
    "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), current_database(),"
    " pg_is_in_recovery(), pg_database_size(current_database()), current_setting('max_connections')::integer,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
)
_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)"
_STANDBYS = (
    "SELECT application_name, coalesce(sync_state, 'unknown'), CASE WHEN pg_is_in_recovery() THEN 0 ELSE"
    " coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint END FROM pg_stat_replication"
    " WHERE state IS DISTINCT FROM 'backup' ORDER BY 1"
)
_REWINDS = "SELECT chain, node, at_us, known_n, found_n, shards FROM rewind WHERE accepted_us IS NULL ORDER BY at_us"
_WEEKS = (
    "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'journal'::regclass ORDER BY 1"
)
_REST = "SELECT EXISTS (SELECT 1 FROM journal_rest)"


class Server(msgspec.Struct, frozen=True):
    """The server and the database in it. ``unsafe`` are settings that let it lose what it acknowledged."""

    major: int
    version: str
    database: str
    standby: bool
    size_bytes: int
    connections_max: int
    connections: int
    settings: dict[str, str]

    @property
    def unsafe(self) -> list[str]:
        return [name for name in DURABLE if self.settings.get(name) == "off"]


class Standby(msgspec.Struct, frozen=True):
    """A connected standby: ``sync`` when commits wait for it, and how many bytes it has still to apply."""

    name: str
    state: str
    lag_bytes: int


class Weeks(msgspec.Struct, frozen=True):
    """The journal's partitions by name, with their sizes; ``rest`` says whether rows lie outside of them."""

    sizes_bytes: dict[str, int]
    rest: bool
    missing: list[str]
    """Those of this week and the next that are not there."""


def server(snapshot: PostgresSnapshot) -> Server:
    """Which server this is."""
    [(number, version, database, standby, size_bytes, most, used)] = snapshot.fetch(_SERVER)
    settings = dict(snapshot.fetch(_SETTINGS, [*DURABLE, "synchronous_standby_names"]))
    return Server(number // 10_000, version, database, standby, size_bytes, most, used, settings)


def standbys(snapshot: PostgresSnapshot) -> list[Standby]:
    """The standbys that are connected now. A role without ``pg_monitor`` sees no details of them."""
    return [Standby(*row) for row in snapshot.fetch(_STANDBYS)]


def clock_ahead_us(snapshot: PostgresSnapshot, clock: Clock) -> tuple[int, int]:
    """How far the clock here is ahead of the server's, and by how much that may be wrong."""
    before = clock.now_us()
    [(there,)] = snapshot.fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    after = clock.now_us()
    return (before + after) // 2 - there, (after - before) // 2 + 1


def open_rewinds(snapshot: PostgresSnapshot) -> list[Rewind]:
    """Losses of commits that nobody has accepted yet."""
    return [
        Rewind(chain=chain, node=node, at_us=at_us, known_n=known, found_n=found, shards=tuple(shards))
        for chain, node, at_us, known, found, shards in snapshot.fetch(_REWINDS)
    ]


def weeks(snapshot: PostgresSnapshot, now_us: int) -> Weeks:
    """How the journal is spread over its weeks."""
    sizes = dict(snapshot.fetch(_WEEKS))
    needed = [week_name(now_us, ahead) for ahead in (0, 1)]
    return Weeks(sizes, bool(snapshot.fetch(_REST)[0][0]), [name for name in needed if name not in sizes])
