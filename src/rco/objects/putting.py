"""Many files put into a folder of objects in one turn of a thread: for who waits for each, or moves hundreds."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Protocol

from rco.objects.coming_in import created, sync_folder, write
from rco.objects.syncing import place, sync_all

__all__ = ["Folder", "Put", "put_group", "put_synced"]


class Folder(Protocol):
    """What they go into."""

    folder: Path

    def make(self, folder: Path) -> None:
        """Make a folder in it, durable in the one above."""
        ...

    def move(self, path: Path, target: Path) -> None:
        """Put what is whole in its place."""
        ...


class Put:
    """What is put at once: where it goes, where it is until it is whole, and what it is."""

    __slots__ = ("beside", "data", "target")

    def __init__(self, target: Path, beside: Path, data: bytes) -> None:
        self.target, self.beside, self.data = target, beside, data


def put_group(into: Folder, puts: list[Put]) -> dict[Put, OSError]:
    """Each of them durable under its target, but for those that it gives, with the reason.

    All are written before the first is made durable, and all moved before the first folder is: the file system's own
    commit of the first then carries much of the others.
    """
    failed: dict[Put, OSError] = {}
    with contextlib.ExitStack() as files:
        begun: list[tuple[Put, int]] = []
        for put in puts:
            try:
                file = created(put.beside)
                # Closed at the end: with its lock gone it would be taken for what a crash left.
                files.callback(os.close, file)
                write(file, put.data)
                begun.append((put, file))
            except OSError as problem:
                failed[put] = problem.with_traceback(None)
        for put, file in begun:
            try:
                os.fsync(file)
                into.move(put.beside, put.target)
            except OSError as problem:
                failed[put] = problem.with_traceback(None)
        folders: dict[Path, list[Put]] = {}
        for put, _ in begun:
            if put not in failed:
                folders.setdefault(put.target.parent, []).append(put)
        for folder, moved in folders.items():
            try:
                sync_folder(folder)
            except OSError as problem:
                failed |= dict.fromkeys(moved, problem.with_traceback(None))
        for put in failed:
            with contextlib.suppress(OSError):
                put.beside.unlink(missing_ok=True)
    return failed


def put_synced(into: Folder, puts: list[Put]) -> None:
    """All of them durable under their targets. Raises ``OSError``."""
    for put in puts:
        into.make(put.target.parent)
        place(put.data, put.target, partial(_put_unsynced, into, put))
    # Each of the folders at the top may be a file system of its own.
    behind = len(str(into.folder)) + 1
    for top in {str(put.target)[behind:].partition("/")[0] for put in puts}:
        sync_all(into.folder / top, partial(_sync_each, puts))


def _put_unsynced(into: Folder, put: Put) -> None:
    file = created(put.beside)
    try:
        write(file, put.data)
        into.move(put.beside, put.target)
    except OSError:
        put.beside.unlink(missing_ok=True)
        raise
    finally:
        # Closed afterwards: with its lock gone it would be taken for what a crash left.
        os.close(file)


def _sync_each(puts: list[Put]) -> None:
    for put in puts:
        file = os.open(put.target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    for folder in {put.target.parent for put in puts}:
        sync_folder(folder)
