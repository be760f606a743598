"""A backup of a database in use: one file and a manifest beside it.

SQLite's online backup (https://www.sqlite.org/backup.html) in a single step is one read transaction: consistent, and
never begun again because somebody writes meanwhile. The copy is taken out of write-ahead mode, so that it is one file.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from blake3 import blake3

from rco.errors import Conflict, EvidenceBroken, NotFound, StoreError
from rco.store import migrate
from rco.store.sqlite import read_evidence
from rco.store.sqlite.connection import open_reader
from rco.store.sqlite.options import SqliteOptions

__all__ = ["FORMAT", "Manifest", "backup", "file_digest", "manifest_path", "read_manifest", "sync_folder"]

FORMAT = "rco-backup/1"
_CHUNK = 1 << 20
_MANIFEST_BYTES_MAX = 64 << 10


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup says of itself. ``b3`` is the digest of its file, ``head`` the hash of its last link."""

    format: str
    at_us: int
    version: str
    schema: str
    size_bytes: int
    b3: str
    n: int
    head: str
    epoch: int


def manifest_path(file: Path) -> Path:
    """Where the manifest of a backup lies."""
    return file.with_name(file.name + ".manifest.json")


def backup(path: Path, out: Path, *, at_us: int, version: str) -> Manifest:
    """Copy the database ``path`` as it is now to ``out``, mode 0600, and write its manifest. Blocks.

    Nothing is left behind after an error; the manifest comes last, and a file without one is no backup. Raises
    ``NotFound`` without a database, ``Conflict`` when ``out`` is there already, ``StoreError`` when SQLite or the disk
    refuses, ``EvidenceBroken`` when the copy does not pass SQLite's integrity check.
    """
    if not path.is_file():
        raise NotFound(f"there is no database {path}.", cure="Name it with --store.")
    for taken in (out, manifest_path(out)):
        if taken.exists():
            raise Conflict(f"{taken} is there already.", cure="Give another name; a backup replaces nothing.")
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        try:
            manifest = _copy(path, beside, at_us=at_us, version=version)
            beside.replace(out)
            _write_manifest(manifest_path(out), manifest)
            sync_folder(out.parent)
        finally:
            for rest in ("", "-wal", "-shm", "-journal"):
                with suppress(OSError):
                    beside.with_name(beside.name + rest).unlink()
    except sqlite3.Error as error:
        raise StoreError(f"The database {path} could not be backed up: {error}.") from error
    except OSError as error:
        raise StoreError(f"The backup {out} could not be written: {error.strerror}.") from error
    return manifest


def _copy(path: Path, beside: Path, *, at_us: int, version: str) -> Manifest:
    with closing(open_reader(path, SqliteOptions())) as source, closing(sqlite3.connect(beside)) as copy:
        source.backup(copy, pages=-1)
    with closing(sqlite3.connect(beside, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise EvidenceBroken(f"the copy is damaged: {found}.", cure="Run rco doctor; the database itself may be.")
        head = read_evidence.head(copy)
        schema = max(migrate.applied(copy), default="")
        (epoch,) = copy.execute("SELECT max(epoch) FROM lease").fetchone()
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    return Manifest(
        format=FORMAT,
        at_us=at_us,
        version=version,
        schema=schema,
        size_bytes=beside.stat().st_size,
        b3=file_digest(beside),
        n=head.n if head is not None else 0,
        head=(head.hash if head is not None else bytes(32)).hex(),
        epoch=int(epoch),
    )


def _write_manifest(path: Path, manifest: Manifest) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(file: Path) -> Manifest:
    """The manifest of the backup ``file``. Raises ``NotFound`` or ``EvidenceBroken``."""
    path = manifest_path(file)
    try:
        with path.open("rb") as handle:
            manifest = msgspec.json.decode(handle.read(_MANIFEST_BYTES_MAX), type=Manifest)
    except OSError as error:
        raise NotFound(
            f"the manifest {path} cannot be read: {error.strerror}.", cure="It lies beside the backup; bring both."
        ) from None
    except msgspec.DecodeError as error:
        raise EvidenceBroken(f"the manifest {path} is none: {error}.") from None
    if manifest.format != FORMAT:
        raise EvidenceBroken(f"the manifest {path} is of {manifest.format[:40]!r}; this release reads {FORMAT}.")
    return manifest


def file_digest(path: Path) -> str:
    """``b3:`` and the BLAKE3 of the file. Raises ``OSError``."""
    hasher = blake3()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return "b3:" + hasher.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make what was renamed in ``folder`` survive a power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
