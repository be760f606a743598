"""A keyring in a file: readable by its owner alone, or not read at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rco.capability.keyring import Keyring, Written, ring_of, ring_text, written
from rco.errors import ConfigInvalid
from rco.kit.clock import MICROS, iso, parse_iso
from rco.kit.ids import Ids

__all__ = ["read_ring", "rotate"]

_BYTES_MAX = 256 * 1024
_CHMOD = "chmod 600 it, and think of its keys as known if others could read it: rco keys rotate."


def read_ring(path: Path) -> Keyring:
    """The ring in ``path``. Raises ``ConfigInvalid`` when it is not there, others may read it, or it is no ring."""
    return ring_of(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            seen = os.fstat(handle)
            if not stat.S_ISREG(seen.st_mode) or seen.st_size > _BYTES_MAX:
                raise ConfigInvalid(f"the keyring {path} is not a file of at most {_BYTES_MAX} bytes")
            if seen.st_mode & 0o077:
                mode = stat.S_IMODE(seen.st_mode)
                raise ConfigInvalid(f"the keyring {path} has mode {mode:04o}, so others can use it", cure=_CHMOD)
            if seen.st_uid not in (os.geteuid(), 0):
                raise ConfigInvalid(f"the keyring {path} belongs to another user", cure="Give it to this service's.")
            return os.read(handle, _BYTES_MAX).decode()
        finally:
            os.close(handle)
    except OSError as error:
        raise ConfigInvalid(
            f"the keyring {path} cannot be read: {error.strerror}", cure="Make one with rco keys rotate."
        ) from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"the keyring {path} is not text", cure="Make one with rco keys rotate.") from None


def rotate(path: Path, *, ids: Ids, now_us: int, lead_s: float, overlap_s: float) -> Keyring:
    """Add a key to the ring in ``path`` and give the others an end; the first one makes the file, mode 0600.

    The new key mints ``lead_s`` from now (the first one at once), and those before it are accepted ``overlap_s``
    longer. The file is there whole or not at all, and two who rotate at a time both add a key. Raises ``ConfigInvalid``
    as ``read_ring`` does.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path):
        before = written(_text(path), str(path)) if path.exists() else []
        mint_from_us = now_us + (round(lead_s * MICROS) if before else 0)
        end_us = mint_from_us + round(overlap_s * MICROS)
        version = max((key.version for key in before), default=0) + 1
        added = Written(
            kid=f"k{version}",
            version=version,
            secret=ids.token(32),
            created_at=iso(now_us),
            mint_from=iso(mint_from_us),
        )
        text = ring_text([added, *(_ended(key, end_us) for key in before)])
        ring = ring_of(text, str(path))
        _replace(path, text)
    return ring


def _ended(key: Written, end_us: int) -> Written:
    if key.accept_until is not None and parse_iso(key.accept_until) <= end_us:
        return key
    return msgspec.structs.replace(key, accept_until=iso(end_us))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o600)
            file.write(text)
            file.flush()
            os.fsync(handle)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
