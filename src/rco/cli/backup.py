"""``rco backup`` and ``rco restore``: a copy of a SQLite database that is whole, and the way back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.cli.output import print_json, print_text
from rco.cli.place import find_place

__all__ = ["backup", "restore"]

_Flag = Annotated[bool, Parameter(negative="")]
_INSTEAD = (
    "Use pg_basebackup with a WAL archive (to any moment) or pg_dump (one moment); after a restore run rco doctor, "
    "and rco verify over an rco export. See docs/how-to/back-up-and-restore.md."
)


def backup(file: Path, *, config: Path | None = None, store: str | None = None, json: _Flag = False) -> None:
    """Copy the database to one file, whether a service uses it or not. A manifest is laid beside it.

    Parameters
    ----------
    file
        The backup to write, readable by its owner only; it may not be there yet.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file.
    json
        The manifest as JSON.
    """
    import rco
    from rco.kit.clock import SystemClock
    from rco.store.sqlite.backup import backup as copy
    from rco.store.sqlite.backup import manifest_path

    manifest = copy(
        find_place(config, store).file(_INSTEAD), file, at_us=SystemClock().now_us(), version=rco.__version__
    )
    if json:
        print_json(manifest)
    else:
        print_text(f"{file}: {manifest.size_bytes} bytes, {manifest.n} links, head {manifest.head}")
        print_text(f"{manifest_path(file)}: keep it with the backup", "dim")


def restore(
    file: Path,
    *,
    config: Path | None = None,
    store: str | None = None,
    force: _Flag = False,
    json: _Flag = False,
) -> None:
    """Put a backup in the place of the database. What was there is kept beside it, with .replaced behind its name.

    Parameters
    ----------
    file
        What rco backup wrote; its manifest lies beside it.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file.
    force
        Also when a service uses the database (it is fenced, and stops) or when it is newer than the backup.
    json
        What was done, as JSON.
    """
    from rco.audit.chain import ChainSealer
    from rco.kit.clock import SystemClock
    from rco.kit.ids import Ids
    from rco.operations.check_chain import check_chain
    from rco.store.sqlite.restore import restore as put_back

    clock = SystemClock()
    done = put_back(
        file,
        find_place(config, store).file(_INSTEAD),
        force=force,
        check=lambda snapshot: check_chain(snapshot).problems,
        sealer=ChainSealer(),
        clock=clock,
        ids=Ids(clock),
        writer=f"restore-{os.getpid()}",
    )
    if json:
        print_json(done)
        return
    print_text(f"{done.path}: restored to link {done.n}, epoch {done.epoch}")
    if done.replaced is not None:
        lost = "another chain" if done.lost_links is None else f"{done.lost_links} link(s) beyond the backup"
        print_text(f"{done.replaced}: what was there before, {lost}", "dim")
