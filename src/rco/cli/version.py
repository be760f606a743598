"""``rco version``."""

from __future__ import annotations

import platform
import sqlite3

import rco
from rco.cli.output import SHOWN, Shown, print_json, print_text

__all__ = ["version"]


def version(*, shown: Shown = SHOWN) -> None:
    """Say which release this is, and what it runs on."""
    if shown.json:
        print_json({"rco": rco.__version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version})
    else:
        print_text(f"rco {rco.__version__} (Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})")
