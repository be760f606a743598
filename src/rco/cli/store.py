"""``rco store``: what an operator decides about a store itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rco.cli.output import print_answer, print_json, print_table
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
    print_answer(
        {"accepted": chains},
        f"accepted what {', '.join(chains)} lost; nodes take the shards over at their next heartbeat",
        json=json,
    )


@app.command
def trim(
    *,
    older_than: str,
    dry_run: _Flag = False,
    config: Path | None = None,
    store: str | None = None,
    json: _Flag = False,
) -> None:
    """Drop the weeks of a PostgreSQL journal that are older than this, with the runs that closed in them.

    A week in which a run is still open stays whole. Start keys of dropped runs are free again: a start with one opens
    another run. Links stay, so the chain verifies; a link of its own says what is missing by right. Export first what
    must be kept: rco export.

    Parameters
    ----------
    older_than
        Age of the youngest run that may go, e.g. 90d.
    dry_run
        Only say what would be dropped.
    config
        The configuration that names the database; rco-config.yaml here when not given.
    store
        The database itself: postgresql://...
    json
        The weeks that were looked at, as JSON.
    """
    import asyncio

    from rco.audit.chain import ChainSealer
    from rco.kit.clock import SystemClock
    from rco.kit.units import parse_duration_s
    from rco.store.opening import need_postgres

    try:
        age_us = int(parse_duration_s(older_than) * 1_000_000)
    except ValueError as problem:
        raise ConfigInvalid(str(problem), key="--older-than") from None
    place = find_place(config, store)
    dsn = place.dsn("A SQLite file keeps everything: back it up, and begin a new one.")
    need_postgres()
    from rco.store.postgres.options import postgres_options
    from rco.store.postgres.trim import trim as drop

    clock = SystemClock()
    weeks = asyncio.run(
        drop(
            dsn,
            postgres_options(place.options),
            ChainSealer(),
            before_us=clock.now_us() - age_us,
            actor=_operator(),
            now_us=clock.now_us,
            dry_run=dry_run,
        )
    )
    if json:
        print_json(weeks)
        return
    rows = []
    for week in weeks:
        word = "kept" if week.open else "dropped" if week.dropped else "would go"
        rows.append((week.first, word, week.runs, week.segments, week.open))
    print_table(("Week", "", "Closed runs", "Segments", "Open runs"), rows, nothing="No week is that old.")


def _operator() -> str:
    """Who sits at this machine, for the record."""
    import getpass

    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"operator:{os.getuid()}"
