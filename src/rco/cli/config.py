"""``rco config``: what is wrong with a configuration, and where each value comes from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from rco.cli.config_file import DEFAULT_FILE
from rco.cli.ending import told
from rco.cli.exits import Exit
from rco.cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from rco.config import Explained, Loaded
    from rco.errors import ConfigInvalid

__all__ = ["USUAL", "app"]

app = App(name="config", help="Check a configuration, and explain where each value comes from.")
USUAL = (DEFAULT_FILE, Path("svc-interop.toml"), Path("/etc/ron/svc-interop.toml"))
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def check(file: Path | None = None, *, all: _Flag = False, json: _Flag = False) -> int:
    """Check a configuration: every problem with its line and key, status 2 when there is one; else what is in effect
    and where each value comes from.

    Parameters
    ----------
    file
        The configuration: rco-config.yaml, svc-interop.toml or /etc/ron/svc-interop.toml when not given, whichever is
        there first. A name that ends in .toml is read as svc-interop reads it, with its variables.
    all
        Values that are at their default as well.
    json
        Problems and all values as JSON.
    """
    path = _found(file)
    found, shown = _checked(path)
    if json:
        said = [
            {"file": one.file, "line": one.line, "key": one.key, "message": one.message, "cure": one.cure}
            for one in found
        ]
        print_json({"ok": not found, "problems": said, "settings": shown})
    elif not found:
        print_text(f"{path}: ok", "green")
        _show(shown, all)
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
        The configuration, as for rco config check; defaults alone when there is none.
    all
        Defaults as well.
    json
        As JSON; always with defaults.
    """
    from rco.config import load, load_interop

    path = file or next((one for one in USUAL if one.is_file()), None)
    toml = path is not None and path.suffix == ".toml"
    shown = _explained((load_interop if toml else load)(path, os.environ), toml)
    if json:
        print_json(shown)
        return
    _show(shown, all)


def _found(file: Path | None) -> Path:
    return file or next((one for one in USUAL if one.is_file()), DEFAULT_FILE)


def _checked(path: Path) -> tuple[list[ConfigInvalid], list[Explained]]:
    from rco.config import certificate_problems, load, load_interop, problems, problems_interop

    toml = path.suffix == ".toml"
    found = (problems_interop if toml else problems)(path, os.environ)
    if found:
        return found, []
    loaded = (load_interop if toml else load)(path, os.environ)
    found = certificate_problems(loaded, os.environ)
    return found, [] if found else _explained(loaded, toml)


def _explained(loaded: Loaded, toml: bool) -> list[Explained]:
    import msgspec

    from rco.config import explain as explained
    from rco.config.interop import outward

    shown = explained(loaded)
    return [msgspec.structs.replace(one, key=outward(one.key)) for one in shown] if toml else shown


def _show(shown: list[Explained], all: bool) -> None:
    import msgspec

    rows = [
        (one.key, msgspec.json.encode(one.value).decode(), one.origin)
        for one in shown
        if all or one.origin != "default"
    ]
    print_table(("Key", "Value", "From"), rows, nothing="Everything is at its default; --all shows it.")
