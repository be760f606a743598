"""What a person asks of a database that is not well: sizes, damage, runs that do not move, who holds it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from rco.model.run import Mode
from rco.store.contract.diagnosis import STUCK_LOOKED_AT, Idle, Stuck

__all__ = ["damage", "held", "idle_runs", "overdue", "staged", "stuck_runs", "unsettled", "waiting_letters"]


def damage(connection: sqlite3.Connection) -> str | None:
    """What SQLite's quick check finds first, or ``None``. Reads the whole file. Raises ``sqlite3.Error``."""
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if found == "ok" else found


def stuck_runs(connection: sqlite3.Connection, before_us: int) -> list[Stuck]:
    found = connection.execute(
        "SELECT run_id, workflow, (SELECT at_us FROM seal WHERE n = (SELECT n FROM journal WHERE journal.run_id ="
        " run.run_id ORDER BY first_seq DESC LIMIT 1)) AS since_us FROM (SELECT run_id, workflow FROM run"
        " WHERE mode = ? ORDER BY run_id LIMIT ?) AS run ORDER BY since_us",
        (int(Mode.HOT), STUCK_LOOKED_AT),
    )
    return [
        Stuck(run_id, workflow, since_us or 0) for run_id, workflow, since_us in found if (since_us or 0) < before_us
    ]


def unsettled(connection: sqlite3.Connection) -> tuple[int, int]:
    counts = dict(connection.execute("SELECT mode, count(*) FROM run GROUP BY mode").fetchall())
    return counts.get(int(Mode.BLOCKED), 0), counts.get(int(Mode.IN_DOUBT), 0)


def idle_runs(connection: sqlite3.Connection, mode: Mode, limit: int) -> list[Idle]:
    found = connection.execute(
        "SELECT run_id, workflow, mode, detail FROM run WHERE mode = ? ORDER BY run_id LIMIT ?", (int(mode), limit)
    )
    return [Idle(run_id, workflow, Mode(mode), detail) for run_id, workflow, mode, detail in found]


def overdue(connection: sqlite3.Connection, before_us: int) -> tuple[int, int]:
    count, first = connection.execute(
        "SELECT count(*), min(due_us) FROM timer WHERE due_us < ?", (before_us,)
    ).fetchone()
    return int(count), int(first or 0)


def waiting_letters(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM dead_letter WHERE replayed_us IS NULL").fetchone()
    return int(count)


def staged(connection: sqlite3.Connection, before_us: int) -> tuple[int, int]:
    count, first_us = connection.execute(
        "SELECT count(*), min(put_us) FROM staged_object WHERE put_us < ?", (before_us,)
    ).fetchone()
    return int(count), int(first_us or 0)


def held(path: Path) -> int | None:
    """The process that owns the database ``path``, 0 when nobody does, ``None`` when it cannot be told.

    Asks the kernel's table of locks: taking the lock to see whether it is free could keep a service from starting.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        status = lock.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except FileNotFoundError:
        return 0 if not lock.exists() else None
    except OSError:
        return None
    mine = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        parts = line.split()
        # number: FLOCK ADVISORY WRITE pid device:inode start end; a waiter has an arrow behind the number.
        if len(parts) >= 6 and parts[1] == "FLOCK" and parts[5] == mine:
            return int(parts[4])
    return 0
