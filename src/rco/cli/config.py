"""``rco config``: what is wrong with a configuration, and where each value comes from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.entry import told
from rco.cli.exits import Exit
from rco.cli.output import print_json, print_table, print_text

__all__ = ["DEFAULT_FILE", "app", "config_file"]

app = App(name="config", help="Check a configuration, and explain where each value comes from.")
DEFAULT_FILE = Path("rco-config.yaml")
_Flag = Annotated[bool, Parameter(negative="")]


def config_file(given: Path | None) -> Path | None:
    """The file to read: the one given, else ``rco-config.yaml`` here if there is one."""
    if given is not None:
        return given
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


@app.command
def check(file: Path | None = None, *, json: _Flag = False) -> int:
    """Check a configuration: every problem with its line and key. Status 2 when there is one.

    Parameters
    ----------
    file
        The configuration; rco-config.yaml here when not given.
    json
        The problems as JSON.
    """
    from rco.config import problems

    path = config_file(file) or DEFAULT_FILE
    found = problems(path, os.environ)
    if json:
        said = [
            {"file": one.file, "line": one.line, "key": one.key, "message": one.message, "cure": one.cure}
            for one in found
        ]
        print_json({"ok": not found, "problems": said})
    elif not found:
        print_text(f"{path}: ok", "green")
    else:
        for problem in found:
            sys.stderr.write(f"rco: {told(problem)}\n")
    return Exit.USAGE if found else Exit.OK


@app.command
def explain(file: Path | None = None, *, all: _Flag = False, json: _Flag = False) -> None:
    """Show the settings in effect and where each comes from: file and line, variable, or default.

    Parameters
    ----------
    file
        The configuration; rco-config.yaml here when not given, else defaults.
    all
        Defaults as well.
    json
        As JSON; always with defaults.
    """
    import msgspec

    from rco.config import explain as explained
    from rco.config import load

    settings = explained(load(config_file(file), os.environ))
    if json:
        print_json(settings)
        return
    rows = [
        (one.key, msgspec.json.encode(one.value).decode(), one.origin)
        for one in settings
        if all or one.origin != "default"
    ]
    print_table(("Key", "Value", "From"), rows, nothing="Everything is at its default; --all shows it.")
