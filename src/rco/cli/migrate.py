"""``rco migrate``: bring a database to this release's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.cli.exits import Exit
from rco.cli.output import print_answer, print_json, print_table
from rco.cli.place import find_place
from rco.errors import ConfigInvalid

__all__ = ["migrate"]

_Flag = Annotated[bool, Parameter(negative="")]


def migrate(
    *,
    config: Path | None = None,
    store: str | None = None,
    status: _Flag = False,
    down: _Flag = False,
    json: _Flag = False,
) -> int:
    """Apply the migrations that a database lacks. Applying none is no error.

    Parameters
    ----------
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file, or postgresql://...
    status
        Only say which migrations are applied. Status 1 when some are not.
    down
        Undo the newest migration instead. What its tables held is lost.
    json
        As JSON.
    """
    import asyncio

    from rco.store.opening import migrate_down, migrate_status, migrate_up

    if status and down:
        raise ConfigInvalid("--status and --down exclude each other", cure="Give one of them.")
    place = find_place(config, store)
    where, path = place.where, place.shown
    if status:
        known = asyncio.run(migrate_status(where))
        if json:
            print_json(known)
        else:
            rows = [(one.version, one.name, "applied" if one.applied else "pending") for one in known]
            print_table(("Version", "Name", "State"), rows, nothing="No migrations.")
        return Exit.OK if all(one.applied for one in known) else Exit.FAILED
    if down:
        undone = asyncio.run(migrate_down(where))
        print_answer(
            {"path": path, "undone": undone},
            f"{path}: undid {undone}" if undone else f"{path}: nothing to undo",
            json=json,
        )
        return Exit.OK
    done = asyncio.run(migrate_up(where))
    print_answer(
        {"path": path, "applied": done},
        f"{path}: applied {', '.join(done)}" if done else f"{path}: up to date",
        json=json,
    )
    return Exit.OK
