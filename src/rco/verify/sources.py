"""Reading the records: line by line, each bounded, every fault with its file and line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from rco.verify.lines import Asked, ExportLine, LedgerLine
from rco.verify.options import TargetLimits

__all__ = ["LINE_BYTES_MAX", "Unreadable", "read_client", "read_export", "read_ledger", "read_targets"]

LINE_BYTES_MAX = 64 << 20
T = TypeVar("T")


class Unreadable(Exception):
    """A record cannot be read: which file, which line, why."""


def read_export(path: Path) -> Iterator[ExportLine]:
    """The lines of an export. Raises ``Unreadable``."""
    return _decoded(path, msgspec.json.Decoder(ExportLine))


def read_client(path: Path) -> Iterator[Asked]:
    """The lines of the client's log. Raises ``Unreadable``."""
    return _decoded(path, msgspec.json.Decoder(Asked))


def read_ledger(paths: Iterable[Path]) -> Iterator[LedgerLine]:
    """The lines of ledgers; a line that names no target is of the one its file is named after, when there are several
    files. Raises ``Unreadable``."""
    files = list(paths)
    for path in files:
        for line in _decoded(path, msgspec.json.Decoder(LedgerLine)):
            if line.target or len(files) == 1:
                yield line
            else:
                yield msgspec.structs.replace(line, target=path.stem)


def read_targets(path: Path) -> dict[str, TargetLimits]:
    """Limits by target from one JSON object. Raises ``Unreadable``."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, TargetLimits])
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"{path}: {error}") from None


def _decoded(path: Path, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES_MAX + 1):
                number += 1
                if len(line) > LINE_BYTES_MAX:
                    raise Unreadable(f"{path}:{number}: longer than {LINE_BYTES_MAX} bytes")
                if not line.strip():
                    continue
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, RecursionError, json.JSONDecodeError) as error:
                    if not line.endswith(b"\n") and number > 1:
                        raise Unreadable(f"{path}:{number}: the last line is cut: {error}") from None
                    raise Unreadable(f"{path}:{number}: {error}") from None
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
