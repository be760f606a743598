"""The database: whether it opens, is whole and of this release, who owns it, and whether its chain holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rco.cli.checkup.report import Found, Word, fail, ok, unknown, warn
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.run import Mode
from rco.operations.check_chain import check_chain
from rco.store.sqlite import examine
from rco.store.sqlite.snapshot import SqliteSnapshot

__all__ = ["chain", "files", "integrity", "owner", "runs"]

WAL_LARGE_BYTES = 256 << 20
SHOWN = 3
OVERDUE_US = 60_000_000


def files(path: Path) -> Iterator[Found]:
    """Sizes of the file and of its write-ahead log."""
    yield ok("database", f"{path}, {path.stat().st_size >> 10} KiB, opens, schema current")
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > WAL_LARGE_BYTES:
        cure = "A reader holds it back: a backup, an export or a shell that stays open. End it."
        yield warn("write-ahead log", f"{size >> 20} MiB", cure)
    else:
        yield ok("write-ahead log", f"{size >> 10} KiB")


def integrity(connection: sqlite3.Connection) -> Iterator[Found]:
    """SQLite's own check."""
    found = examine.damage(connection)
    if found is None:
        yield ok("integrity", "quick check passed")
    else:
        yield fail("integrity", f"damaged: {found}", "Stop the service and restore a backup: rco restore FILE.")


def owner(path: Path, snapshot: SqliteSnapshot) -> Iterator[Found]:
    """Leases and nodes against the process that holds the file."""
    pid = examine.held(path)
    leases = snapshot.leases()
    owners = sorted({lease.owner for lease in leases if lease.owner is not None})
    epochs = sorted({lease.epoch for lease in leases})
    told = f"epoch {epochs[-1]}, owned by {', '.join(owners) or 'nobody'}"
    if len(epochs) > 1 or len(owners) > 1:
        yield fail("leases", f"{told}; {len(epochs)} epochs on one file", "Restart the service: it takes every shard.")
    elif pid is None:
        yield unknown("leases", f"{told}; whether a process holds the file cannot be told")
    elif pid == 0:
        yield warn("leases", f"{told}; no process holds the file", "Start the service if it should run.")
    else:
        yield ok("leases", f"{told}; held by process {pid}")


def chain(snapshot: SqliteSnapshot, links: int) -> Iterator[Found]:
    """The newest links of the audit chain, and the journal under them."""
    head = snapshot.head()
    if head is None:
        yield ok("audit chain", "empty")
        return
    found = check_chain(snapshot, first_n=max(1, head.n - links + 1))
    if found.problems:
        cure = "Export it (rco audit export) and keep that; then restore a backup whose chain holds."
        yield fail("audit chain", "; ".join(found.problems[:SHOWN]), cure)
    elif found.last != head.n:
        yield fail("audit chain", f"ends at link {found.last}, its head is {head.n}", "Restore a backup.")
    else:
        yield ok("audit chain", f"links {found.first} to {found.last} hold, head {found.head}")


def runs(connection: sqlite3.Connection, now_us: int, stuck_us: int, held: bool) -> Iterator[Found]:
    """Open runs that wait for something they will not get by themselves."""
    yield _stuck(connection, now_us, stuck_us, held)
    blocked, doubtful = examine.unsettled(connection)
    yield _waiting(connection, Mode.BLOCKED, blocked)
    yield _waiting(connection, Mode.IN_DOUBT, doubtful)
    count, first_us = examine.overdue(connection, now_us - OVERDUE_US)
    if count:
        said = f"{count} parked run(s) were due, the first at {iso(first_us)}"
        cure = "They go on when it starts." if not held else "The owner is behind or stopped: look at its log."
        yield Found("timers", Word.FAIL if held else Word.WARN, said, cure)
    else:
        yield ok("timers", "none overdue")
    letters = examine.waiting_letters(connection)
    if letters:
        yield warn("dead letters", f"{letters} wait", "rco letters list; cure the cause; rco letters replay ID")
    else:
        yield ok("dead letters", "none wait")


def _stuck(connection: sqlite3.Connection, now_us: int, stuck_us: int, held: bool) -> Found:
    stuck = examine.stuck_runs(connection, now_us - stuck_us)
    if not stuck:
        return ok("stuck runs", f"none without progress for {stuck_us / 60e6:g} min")
    first = stuck[0]
    longest = f"{id_text(first.run_id)} of {first.workflow} since {iso(first.since_us)}"
    said = f"{len(stuck)} without progress, longest {longest}"
    if not held:
        return warn("stuck runs", said, "They go on when the service starts.")
    return warn("stuck runs", said, f"rco run show {id_text(first.run_id)} says what it waits for")


def _waiting(connection: sqlite3.Connection, mode: Mode, count: int) -> Found:
    name = "blocked runs" if mode is Mode.BLOCKED else "runs in doubt"
    if not count:
        return ok(name, "none")
    cures = []
    for run in examine.idle_runs(connection, mode, SHOWN):
        run_id = id_text(run.run_id)
        if mode is Mode.BLOCKED:
            cures.append(f"rco run show {run_id} (the diff); with code that fits: rco run retry {run_id}")
        else:
            cures.append(f"rco run settle {run_id} '{_step(run.detail)}' done|failed|again --reason TEXT")
    more = f"{count} in all, oldest {id_text(examine.idle_runs(connection, mode, 1)[0].run_id)}"
    return warn(name, more, "; ".join(cures))


def _step(detail: bytes | None) -> str:
    try:
        return str(msgspec.json.decode(detail or b"{}").get("step", "KEY")).replace("'", "?")
    except (msgspec.DecodeError, AttributeError):
        return "KEY"
