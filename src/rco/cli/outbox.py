"""``rco outbox``: starting runs and sending signals by SQL, from transactions of the users' own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from rco.cli.output import print_answer, print_json, print_table
from rco.errors import ConfigInvalid, NotFound

__all__ = ["app"]

app = App(name="outbox", help="Start runs and send signals by SQL, inside your own transactions.")
_Flag = Annotated[bool, Parameter(negative="")]
_LETTERS = """
SELECT entry_id::text, kind, name, key, run_id::text, by_role::text, at::text, cause
FROM rco_outbox.dead_letter ORDER BY refused_at DESC LIMIT $1
"""
_RETRY = """
WITH gone AS (
    DELETE FROM rco_outbox.dead_letter WHERE $1::uuid IS NULL OR entry_id = $1 RETURNING *
)
INSERT INTO rco_outbox.entry
    (entry_id, lane, ordering, kind, name, key, run_id, message_id, corr_id, body, by_role, at)
SELECT entry_id, hashtext(ordering) & 15, ordering, kind, name, key, run_id, message_id, corr_id, body, by_role, at
FROM gone ORDER BY at RETURNING entry_id::text
"""


@app.command
def init(
    database: str,
    *,
    application: list[str] | None = None,
    node: list[str] | None = None,
    print_only: Annotated[bool, Parameter(name="--print", negative="")] = False,
    config: Path | None = None,
    json: _Flag = False,
) -> None:
    """Put the outbox into a database, in a schema of its own. May be run again.

    Parameters
    ----------
    database
        A name under databases in the configuration, a reference (env:NAME, file:/path), or postgresql://...
    application
        A role that may call rco_outbox.start, signal and emit, and see none of its tables. May be given again.
    node
        A role that RCO's nodes connect as: it is granted what they need and no more. May be given again.
    print_only
        Print the SQL for your own migrations instead, and connect to nothing.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    json
        As JSON.
    """
    from rco.cli.userbase import put
    from rco.datasource.schema import outbox

    put(
        outbox(application or [], node or []),
        database,
        config,
        "rco_outbox.start, rco_outbox.signal and rco_outbox.emit are there",
        print_only=print_only,
        json=json,
    )


@app.command
def status(database: str, *, config: Path | None = None, json: _Flag = False) -> None:
    """How many entries wait, for how long the oldest has, and how many dead letters there are.

    Parameters
    ----------
    database
        A name under databases in the configuration, a reference (env:NAME, file:/path), or postgresql://...
    config
        The configuration that names the database; rco-config.yaml here when not given.
    json
        As JSON.
    """
    from rco.datasource.outbox import LAG

    waiting, lag_s, letters = _ask(database, config, lambda connection: connection.fetchrow(LAG))
    if json:
        print_json({"waiting": waiting, "lag_s": lag_s, "dead_letters": letters})
        return
    print_table(("Waiting", "Oldest", "Dead letters"), [(waiting, f"{lag_s:.1f} s", letters)], nothing="")


@app.command
def letters(database: str, *, limit: int = 50, config: Path | None = None, json: _Flag = False) -> None:
    """List entries that were refused, newest first, with their cause.

    Parameters
    ----------
    database
        A name under databases in the configuration, a reference (env:NAME, file:/path), or postgresql://...
    limit
        The most to list.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    json
        As JSON.
    """
    rows = _ask(database, config, lambda connection: connection.fetch(_LETTERS, max(1, min(limit, 1000))))
    if json:
        print_json([dict(row) for row in rows])
        return
    shown = [
        (row["entry_id"], row["kind"], row["name"], row["key"] or row["run_id"] or "", row["cause"]) for row in rows
    ]
    print_table(("Entry", "Kind", "Name", "For", "Cause"), shown, nothing="No dead letters.")


@app.command
def retry(
    database: str, entry: str | None = None, *, all: _Flag = False, config: Path | None = None, json: _Flag = False
) -> None:
    """Put a dead letter back, behind what waits now. It is still recognised if it was taken after all.

    Parameters
    ----------
    database
        A name under databases in the configuration, a reference (env:NAME, file:/path), or postgresql://...
    entry
        Which one: see rco outbox letters.
    all
        Every one there is.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    json
        As JSON.
    """
    import uuid

    if (entry is None) != all:
        raise ConfigInvalid("one entry or --all is due", cure="Give an entry of rco outbox letters, or --all.")
    try:
        which = None if entry is None else uuid.UUID(entry)
    except ValueError:
        raise ConfigInvalid(f"{entry!r} is not the identity of an entry", cure="See rco outbox letters.") from None
    rows = _ask(database, config, lambda connection: connection.fetch(_RETRY, which))
    if not rows and not all:
        raise NotFound(f"no dead letter {entry}.", cure="See rco outbox letters.")
    print_answer({"put_back": [row[0] for row in rows]}, f"put back {len(rows)}", json=json)


def _ask(database: str, config: Path | None, ask: Any) -> Any:
    from rco.cli.userbase import find_database, on

    return on(find_database(database, config), ask)
