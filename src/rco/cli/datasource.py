"""``rco datasource``: databases of the users' own that steps commit to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_json, print_text

__all__ = ["app"]

app = App(name="datasource", help="Prepare databases of your own for transactional steps.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def init(
    database: str,
    *,
    node: list[str] | None = None,
    print_only: Annotated[bool, Parameter(name="--print", negative="")] = False,
    config: Path | None = None,
    json: _Flag = False,
) -> None:
    """Put the table of transactional steps into a database, in a schema of its own. May be run again.

    Parameters
    ----------
    database
        A name under databases in the configuration, a reference (env:NAME, file:/path), or postgresql://...
    node
        A role that RCO's nodes connect as: it is granted what they need and no more. May be given again.
    print_only
        Print the SQL for your own migrations instead, and connect to nothing.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    json
        As JSON.
    """
    from rco.datasource.schema import steps

    script = steps(node or [])
    if print_only:
        print_json({"sql": script}) if json else print(script, end="")
        return
    from rco.cli.userbase import apply, find_database

    found = find_database(database, config)
    apply(found, script)
    if json:
        print_json({"database": found.shown, "applied": True})
    else:
        print_text(f"{found.shown}: the table rco.rco_step is there")
