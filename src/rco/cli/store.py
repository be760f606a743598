"""``rco store``: what an operator decides about a store itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_json, print_text
from rco.cli.place import find_place
from rco.errors import ConfigInvalid

__all__ = ["app"]

app = App(name="store", help="Trim what is old out of a store, and accept what it lost.")
_Flag = Annotated[bool, Parameter(negative="")]


@app.command
def accept(
    *, reason: str, chain: str | None = None, config: Path | None = None, store: str | None = None, json: _Flag = False
) -> None:
    """Accept that a PostgreSQL database lost commits: the shards that stand still are taken over again.

    First compare with the targets: a call without an idempotency key whose intent is among what was lost is made again.
    Who accepted it and why stands in the audit chain. Status 4 when nothing waits to be accepted.

    Parameters
    ----------
    reason
        Why going on is right, for the record.
    chain
        Only what this chain lost: rco doctor names it.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: postgresql://...
    json
        What was accepted, as JSON.
    """
    import asyncio

    from rco.audit.chain import ChainSealer
    from rco.kit.clock import SystemClock
    from rco.store.opening import need_postgres

    if not reason.strip():
        raise ConfigInvalid("is empty", cure="Say what was compared, and with whom.", key="--reason")
    place = find_place(config, store)
    dsn = place.dsn("A file has one owner; there is nothing to accept.")
    need_postgres()
    from rco.store.postgres.operate import accept_rewinds
    from rco.store.postgres.options import postgres_options

    chains = asyncio.run(
        accept_rewinds(
            dsn,
            postgres_options(place.options),
            ChainSealer(),
            actor=_operator(),
            reason=reason.strip(),
            at_us=SystemClock().now_us(),
            chain=chain,
        )
    )
    if json:
        print_json({"accepted": chains})
    else:
        print_text(f"accepted what {', '.join(chains)} lost; nodes take the shards over at their next heartbeat")


def _operator() -> str:
    """Who sits at this machine, for the record."""
    import getpass

    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"operator:{os.getuid()}"
