"""The command ``svc-interop``: the bridge alone, from a TOML file, with its two addresses and its signals."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

__all__ = ["main", "make_app"]

_HELP = """\
The bridge: verified webhooks in, durable and with evidence; content by its address; health and metrics.

Settings come from the file, SVC_INTEROP_* over it, and flags over both. SIGTERM and SIGINT drain and stop; SIGHUP, or a
change of the file or of a secret's file, reads everything again: all of it takes effect or none.
"""
_Flag = Annotated[bool, Parameter(negative="")]


def make_app() -> App:
    """The command line. Usable once: parsing leaves traces in it."""
    import rco
    from rco.cli.config import app as config

    app = App(name="svc-interop", help=_HELP, help_format="plaintext", version=rco.__version__)
    app.default(run)
    app.command(config)
    return app


def run(
    *,
    config: Path | None = None,
    bind_addr: str | None = None,
    metrics_addr: str | None = None,
    max_conns: int | None = None,
    max_rps: float | None = None,
    burst_rps: int | None = None,
    log_level: str | None = None,
) -> int:
    """Run the bridge.

    Parameters
    ----------
    config
        The TOML file, e.g. /etc/ron/svc-interop.toml; defaults alone when not given.
    bind_addr
        Address to serve on, e.g. 0.0.0.0:8080.
    metrics_addr
        Address for metrics and health, e.g. 127.0.0.1:9909.
    max_conns
        The most connections at the same time.
    max_rps
        Webhooks a second.
    burst_rps
        So many may come at once.
    log_level
        debug, info, warning or error.
    """
    from rco.cli.config import USUAL
    from rco.cli.serve import run_service
    from rco.config import Loaded, load_interop

    flags: dict[str, Any] = {
        "bind_addr": bind_addr,
        "metrics_addr": metrics_addr,
        "max_conns": max_conns,
        "max_rps": max_rps,
        "burst_rps": burst_rps,
        "log_level": log_level,
    }

    for place in USUAL if config is None else ():
        if place.suffix == ".toml" and place.exists():
            # Whoever checked it would think that it is in effect.
            sys.stderr.write(f"rco: {place} is there and is not read. Give --config {place} if it should be.\n")

    def read() -> Loaded:
        return load_interop(config, os.environ, flags)

    return run_service(read, config, migrating=True)


def main() -> None:
    """The console script."""
    from rco.cli.entry import run as run_command

    sys.exit(run_command(sys.argv[1:], make_app, "svc-interop"))
