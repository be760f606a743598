"""Putting a backup in the place of a database, so that nobody who wrote to the old one can go on.

The old file is fenced first: its epoch is raised, so an owner that still runs finds its lease gone at its next commit
and stops. The new one begins under a higher epoch than either ever had. The old file is kept as ``<path>.replaced``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from rco.errors import Conflict, EvidenceBroken, StoreError, StoreLocked
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.store import migrate
from rco.store.collector import Batch
from rco.store.contract.changes import Changes
from rco.store.contract.writer import Sealer
from rco.store.sqlite import read_evidence
from rco.store.sqlite.backup import Manifest, file_digest, read_manifest, sync_folder
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.connection import open_writer
from rco.store.sqlite.options import SqliteOptions
from rco.store.sqlite.ownership import FileLock, take_over
from rco.store.sqlite.snapshot import SqliteSnapshot

__all__ = ["Restored", "restore"]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did. ``replaced``: where the database that was there lies now, if there was one."""

    path: str
    n: int
    head: str
    epoch: int
    replaced: str | None
    lost_links: int | None
    """Links of the former database beyond the backup; ``None`` when it could not be read or had another chain."""


class _Former(msgspec.Struct, frozen=True):
    """The database that is there: its highest epoch, its last link, whether the backup descends from it."""

    epoch: int = 0
    n: int = 0
    readable: bool = True
    ancestor: bool = True


def restore(
    file: Path,
    path: Path,
    *,
    force: bool,
    check: Callable[[SqliteSnapshot], tuple[str, ...]],
    sealer: Sealer,
    clock: Clock,
    ids: Ids,
    writer: str,
) -> Restored:
    """Replace the database ``path`` by the backup ``file``: whole or, with the error raised, not at all. Blocks.

    ``check`` gives the problems of a chain. Without ``force`` raises ``StoreLocked`` when a service uses the database
    and ``Conflict`` when it knows more than the backup, has another chain or cannot be read. Always raises
    ``EvidenceBroken`` when the backup's digest, chain or head is not what its manifest says, and ``SchemaOutdated``
    when it is of a newer release.
    """
    manifest = read_manifest(file)
    lock = FileLock(path)
    beside = path.with_name(f".{path.name}.restore-{os.getpid()}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = _acquire(lock, force)
    try:
        _copied(file, beside, manifest)
        _checked(beside, manifest, check)
        former = _former(path, beside) if path.exists() else _Former()
        if not force:
            _must_not_lose(path, former, manifest)
        epoch = _fence(path, former) if path.exists() and former.readable else former.epoch
        epoch = _begin(beside, manifest, epoch, sealer=sealer, clock=clock, ids=ids, writer=writer)
        replaced = _swap(path, beside)
        lost = former.n - manifest.n if former.readable and (former.ancestor or former.n > manifest.n) else None
        return Restored(
            path=str(path),
            n=manifest.n,
            head=manifest.head,
            epoch=epoch,
            replaced=str(replaced) if replaced is not None else None,
            lost_links=None if lost is None else max(0, lost),
        )
    except sqlite3.Error as error:
        raise StoreError(f"The backup {file} could not be restored: {error}.") from error
    except OSError as error:
        raise StoreError(f"The backup {file} could not be restored: {error.strerror}.") from error
    finally:
        for rest in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                beside.with_name(beside.name + rest).unlink()
        if held:
            lock.release()


def _acquire(lock: FileLock, force: bool) -> bool:
    try:
        lock.acquire(os.getpid())
    except StoreLocked:
        if not force:
            raise
        return False
    return True


def _copied(file: Path, beside: Path, manifest: Manifest) -> None:
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    shutil.copyfile(file, beside)
    # The copy is what is used, so the copy is what is measured.
    if beside.stat().st_size != manifest.size_bytes or file_digest(beside) != manifest.b3:
        raise EvidenceBroken(
            f"{file} is not what its manifest says: it was changed or cut.", cure="Use another backup."
        )


def _checked(beside: Path, manifest: Manifest, check: Callable[[SqliteSnapshot], tuple[str, ...]]) -> None:
    with closing(sqlite3.connect(beside, isolation_level=None)) as connection:
        migrate.pending(migrate.known(), migrate.applied(connection))
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise EvidenceBroken(f"the backup is damaged: {found}.", cure="Use another backup.")
        problems = check(SqliteSnapshot(connection))
        if problems:
            raise EvidenceBroken(f"the backup's chain does not verify: {problems[0]}.", cure="Use another backup.")
        head = read_evidence.head(connection)
        if (head.n, head.hash.hex()) != (manifest.n, manifest.head) if head is not None else manifest.n != 0:
            raise EvidenceBroken("the backup's last link is not the one in its manifest.", cure="Use another backup.")


def _former(path: Path, beside: Path) -> _Former:
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            (epoch,) = old.execute("SELECT max(epoch) FROM lease").fetchone()
            head = read_evidence.head(old)
            if old.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return _Former(int(epoch), head.n if head else 0, False, False)
    except sqlite3.Error:
        return _Former(readable=False, ancestor=False)
    if head is None:
        return _Former(int(epoch))
    with closing(sqlite3.connect(beside)) as new:
        same = new.execute("SELECT 1 FROM seal WHERE n = ? AND hash = ?", (head.n, head.hash)).fetchone()
    return _Former(int(epoch), head.n, True, same is not None)


def _must_not_lose(path: Path, former: _Former, manifest: Manifest) -> None:
    if not former.readable:
        raise Conflict(f"the database {path} cannot be read, so what is in it is not known.", cure="Use --force.")
    if former.n > manifest.n:
        raise Conflict(
            f"the database {path} is newer: it has {former.n - manifest.n} links more than the backup.",
            cure="They would be lost. Use --force if that is meant; the file is kept beside it.",
        )
    if not former.ancestor:
        raise Conflict(
            f"the database {path} has another chain than the backup.", cure="Use --force if replacing it is meant."
        )


def _fence(path: Path, former: _Former) -> int:
    """Raise the old file's epoch: whoever still writes to it is refused from now on. Returns the highest epoch."""
    with closing(open_writer(path, SqliteOptions())) as old:
        old.execute("BEGIN IMMEDIATE")
        old.execute("UPDATE lease SET owner = NULL, epoch = epoch + 1")
        (epoch,) = old.execute("SELECT max(epoch) FROM lease").fetchone()
        old.execute("COMMIT")
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return max(int(epoch), former.epoch)


def _begin(beside: Path, manifest: Manifest, epoch: int, *, sealer: Sealer, clock: Clock, ids: Ids, writer: str) -> int:
    """The first link of the restored database: under an epoch that nobody had, saying what was restored."""
    with closing(open_writer(beside, SqliteOptions())) as new:
        if migrate.pending(migrate.known(), migrate.applied(new)):
            # An older schema: rco migrate comes first, and its first owner raises the epoch.
            new.execute("UPDATE lease SET owner = NULL, epoch = max(epoch, ?) + 1", (epoch,))
            (raised,) = new.execute("SELECT max(epoch) FROM lease").fetchone()
        else:
            new.execute("UPDATE lease SET epoch = max(epoch, ?)", (epoch,))
            now = clock.now_us()
            raised = take_over(new, node=writer, boot_id=ids.uuid7(), pid=os.getpid(), now_us=now)
            committer = Committer(new, sealer=sealer, clock=clock, writer=writer, epoch=raised)
            decision = Decision(
                verb=Verb.NODE,
                at_us=now,
                actor=f"node:{writer}",
                reason="restored",
                b3=manifest.b3,
                facts={"n": manifest.n, "epoch": raised},
            )
            committer.commit(Batch(Changes(), [decision], []))
            new.execute("UPDATE lease SET owner = NULL")
            new.execute("DELETE FROM node WHERE name = ?", (writer,))
        new.execute("PRAGMA journal_mode = DELETE")
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    return int(raised)


def _swap(path: Path, beside: Path) -> Path | None:
    replaced = None
    if path.exists():
        replaced = path.with_name(path.name + ".replaced")
        for rest in ("", "-wal"):
            with suppress(FileNotFoundError):
                replaced.with_name(replaced.name + rest).unlink()
        os.link(path, replaced)
        # A log left beside the new file would be folded into it. The old one keeps its own, empty or not.
        with suppress(FileNotFoundError):
            path.with_name(path.name + "-wal").replace(replaced.with_name(replaced.name + "-wal"))
        with suppress(FileNotFoundError):
            path.with_name(path.name + "-shm").unlink()
    beside.replace(path)
    sync_folder(path.parent)
    return replaced
