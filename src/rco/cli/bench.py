"""``rco bench``: what this machine and this database give, and what binds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rco.cli.config_file import config_file
from rco.cli.output import print_json, print_table, print_text

__all__ = ["bench"]

_Flag = Annotated[bool, Parameter(negative="")]


def bench(*, config: Path | None = None, store: str | None = None, json: _Flag = False) -> None:
    """Measure your machine with your database for half a minute, and say what binds: CPU, disk, network or limits.

    Works in a database of its own beside yours (SQLite: a file in a folder of its own, on the same disk; PostgreSQL: a
    new database on the same server, or a new schema where that may not be made) and removes it afterwards. Nothing of
    yours is read or written; a service that runs meanwhile shares disk and cores with it.

    Parameters
    ----------
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: a SQLite file, or postgresql://...
    json
        As JSON: figures, verdict, and where they were taken.
    """
    import uvloop

    from rco.config import load
    from rco.config.secrets import Secrets
    from rco.measure.deployment import look
    from rco.measure.verdict import judge

    settings = load(config_file(config), os.environ, {"store.path": store}).settings
    where = Secrets(os.environ).opened(settings.store.path) or str(Path(settings.data_dir) / "rco.db")
    seen = uvloop.run(look(where, lambda text: _tell(f"rco bench: {text}")))
    verdict = judge(seen, events_per_s=settings.limits.max_rps)
    if json:
        print_json({"seen": seen, "verdict": verdict})
        return
    rows = [
        (
            one.text,
            f"{_number(one.value)} {one.unit}",
            "" if one.cpu_s_per_1000 is None else f"{one.cpu_s_per_1000:.3f}",
        )
        for one in seen.figures
    ]
    print_table(("Question", "Value", "CPU s / 1 000"), rows, nothing="Nothing was measured.")
    print_text("")
    for words in verdict.words:
        print_text(words)
    for words in verdict.warnings:
        print_text(words, "yellow")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2f}"
