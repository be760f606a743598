"""``rco datasource``: databases of the users' own that steps commit to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

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
    from rco.cli.userbase import put
    from rco.datasource.schema import steps

    put(steps(node or []), database, config, "the table rco.rco_step is there", print_only=print_only, json=json)
