"""Where records go: an append-only file, standard output, a ring in memory."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rco.audit.record import MAX_RECORD_BYTES, TORN, Chain, Record, decode_record
from rco.errors import ConfigInvalid
from rco.kit.digest import content_address
from rco.model.decision import Decision, Verb
from rco.model.wire_audit import SinkView

__all__ = ["Appended", "Descriptor", "Ring", "open_file"]

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Descriptor:
    """Standard output, or whatever descriptor is open already: nothing to sync or to open anew."""

    __slots__ = ("_file",)

    def __init__(self, file: int) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return os.write(self._file, data)

    def sync(self) -> None:
        """A pipe keeps nothing."""

    def reopen(self) -> None:
        """There is no name to open."""

    def close(self) -> None:
        """It was not opened here."""


class Appended:
    """A regular file that is only ever appended to, one ``fsync`` for each batch."""

    __slots__ = ("_file", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)

    def write(self, data: bytes) -> int:
        return os.write(self._file, data)

    def sync(self) -> None:
        os.fsync(self._file)

    def reopen(self) -> None:
        fresh = _open(self.path)
        os.fsync(self._file)
        os.close(self._file)
        self._file = fresh

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._file)


def _open(path: Path) -> int:
    file = os.open(path, _FLAGS, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(0, "is not a regular file", str(path))
    return file


def open_file(path: Path, now_us: int) -> tuple[Appended, Chain, Decision | None]:
    """The file, its chain as it stands, and what has to be recorded first: that a crash cut the last line off.

    A file that is there goes on from its last record. Raises ``ConfigInvalid`` where it cannot be opened, or does not
    end in a record: then it is not continued, as that would cover what was changed.
    """
    try:
        out = Appended(path)
        last, torn = _end_of(path)
    except OSError as error:
        raise ConfigInvalid(
            f"{path} cannot be opened for appending: {error.strerror}", cure="Check the folder.", key="audit.file"
        ) from None
    chain, note = Chain(), None
    if last:
        try:
            record = decode_record(last)
        except ValueError as error:
            out.close()
            raise ConfigInvalid(
                f"{path} does not end in a record: {error}", cure="Keep it aside and begin a new one.", key="audit.file"
            ) from None
        chain = Chain(record.n, bytes.fromhex(record.hash))
    if torn:
        os.write(out._file, b"\n")
        facts: dict[str, str | int | bool] = {"size_bytes": len(torn)}
        note = Decision(verb=Verb.NODE, at_us=now_us, actor="node", reason=TORN, b3=content_address(torn), facts=facts)
    return out, chain, note


def _end_of(path: Path) -> tuple[bytes, bytes]:
    """The last whole line, and what stands behind it without a line feed."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * MAX_RECORD_BYTES))
        whole, feed, torn = file.read().rpartition(b"\n")
    return (whole.rpartition(b"\n")[2], torn) if feed else (b"", torn)


class Ring:
    """The sink ``memory``: the last records, and how many went before them. Belongs to the loop."""

    name = "memory"

    def __init__(self, limit: int, told_written: Callable[[int], None] = lambda _: None) -> None:
        self._records: deque[Record] = deque(maxlen=limit)
        self._chain = Chain()
        self._told_written = told_written

    def emit(self, decision: Decision) -> None:
        """Keep it; the oldest goes where there is no room."""
        self._records.append(self._chain.add(decision))
        self._told_written(1)

    @property
    def displaced(self) -> int:
        """How many the ring no longer has."""
        return self._chain.n - len(self._records)

    def newest(self, limit: int) -> list[Record]:
        """The last ``limit``, newest first."""
        return [self._records[-at] for at in range(1, min(limit, len(self._records)) + 1)]

    def seen(self) -> SinkView:
        """How it fares: nothing waits, and what is displaced was not dropped."""
        chain = self._chain
        return SinkView(sink=self.name, written=chain.n, dropped=0, waiting=0, n=chain.n, head=chain.head.hex())

    def reopen(self) -> None:
        """There is nothing to open."""

    def stop(self, grace_s: float) -> None:
        """It goes with the process."""
