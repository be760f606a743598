"""Who owned which shard and when, as the database itself noted it: by the time stamps of its commits."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.postgres import PostgresServer

from rco.kit.ids import id_text

__all__ = ["Tenures", "Written", "note", "read"]

_NOTE = """
CREATE TABLE tenure (place bigserial, shard smallint, owner text, epoch bigint);
CREATE FUNCTION note_tenure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenure (shard, owner, epoch) VALUES (NEW.shard, NEW.owner, NEW.epoch);
    RETURN NEW;
END $$;
CREATE TRIGGER note_tenure AFTER INSERT OR UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION note_tenure();
"""
_AT = "(extract(epoch FROM pg_xact_commit_timestamp({0}.xmin)) * 1000000)::bigint"
_TENURES = f"SELECT {_AT.format('tenure')}, shard, coalesce(owner, ''), epoch FROM tenure ORDER BY place"
_WRITTEN = f"SELECT {_AT.format('journal')}, run_id, first_seq, chain FROM journal"


@dataclass(frozen=True)
class Written:
    """A segment of a journal, by whom and when it was committed."""

    at_us: int
    run_id: str
    shard: int
    node: str


@dataclass
class Tenures:
    """``nodes_by_port`` are the names under which each door's node has lived."""

    nodes_by_port: dict[int, set[str]] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    changes: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """For each shard, from when on it was whose."""
    resumed: list[tuple[str, int]] = field(default_factory=list)
    """Which node went on after a pause, and when."""

    def write(self, path: Path) -> None:
        """For a person."""
        names = {port: sorted(nodes) for port, nodes in self.nodes_by_port.items()}
        path.write_text(json.dumps({"nodes": names, "changes": self.changes}))

    def owner(self, shard: int, at_us: int) -> str:
        """Whose it was; empty for nobody's."""
        changes = self.changes[shard]
        place = bisect_right(changes, at_us, key=lambda change: change[0])
        return changes[place - 1][1] if place else ""

    def held(self, shard: int, node: str, from_us: int, until_us: int) -> bool:
        """Whether it was ``node``'s at any time between the two."""
        return self.owner(shard, from_us) == node or any(
            from_us < at_us <= until_us and owner == node for at_us, owner in self.changes[shard]
        )


def note(server: PostgresServer, database: str) -> None:
    """From now on the database notes each change of an owner. The server must track the times of commits."""
    server.run_script(database, _NOTE)


def read(server: PostgresServer, database: str, nodes_by_port: dict[int, set[str]]) -> Tenures:
    """What was noted."""
    found = Tenures(nodes_by_port)
    for at_us, shard, owner, _ in server.query(database, _TENURES):
        found.changes[shard].append((at_us, owner))
    for at_us, run_id, _, chain in server.query(database, _WRITTEN):
        found.written.append(Written(at_us, id_text(run_id), run_id[15], chain.rpartition("/")[0]))
    return found
