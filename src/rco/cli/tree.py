"""The tree of commands. Groups are named by where they are, so that only the one asked for is imported."""

from __future__ import annotations

from cyclopts import App

import rco
from rco.cli.commands import COMMANDS
from rco.cli.front import ABOUT

__all__ = ["make_app"]


def make_app() -> App:
    """The command line. Usable once: parsing leaves traces in it."""
    app = App(
        name="rco",
        help=ABOUT,
        help_format="plaintext",
        version=rco.__version__,
    )
    for command in COMMANDS:
        app.command(command.where, name=command.name, help=command.help)
    return app
