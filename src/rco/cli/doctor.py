"""``rco doctor``: what is wrong with a deployment, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from rco.cli.config_file import config_file
from rco.cli.exits import Exit
from rco.cli.output import print_json, print_table
from rco.errors import ConfigInvalid, RcoError
from rco.store.options import StoreOptions

__all__ = ["doctor"]

_Flag = Annotated[bool, Parameter(negative="")]
_STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "UNKNOWN": "cyan"}


def doctor(
    *,
    config: Path | None = None,
    store: str | None = None,
    stuck: str = "10m",
    links: int = 1000,
    json: _Flag = False,
) -> int:
    """Look at database, nodes, chains, runs, service, files and secrets. Changes nothing. Status 1 when a check fails.

    Works while a service runs, reading beside it, and while none does. WARN and UNKNOWN end with 0.

    Parameters
    ----------
    config
        The configuration; rco-config.yaml here when not given.
    store
        The database: a SQLite file, or postgresql://...
    stuck
        A run in memory without progress for this long counts as stuck.
    links
        How many of the newest links of the chain to verify, with their journal.
    json
        As JSON.
    """
    from rco.cli.checkup.report import Found, Word, fail, guarded
    from rco.config import Secrets, Settings, load
    from rco.kit.units import parse_duration_s
    from rco.store.opening import is_postgres

    try:
        stuck_us = int(parse_duration_s(stuck) * 1_000_000)
    except ValueError as problem:
        raise ConfigInvalid(str(problem), key="--stuck") from None
    found: list[Found] = []
    try:
        settings = load(config_file(config), os.environ, {"store.path": store}).settings
    except ConfigInvalid as problem:
        found.append(fail("configuration", problem.message, problem.cure or "rco config check shows every problem"))
        settings = Settings()
    data_dir = Path(settings.data_dir)
    path: Path | None = None
    try:
        where = Secrets(os.environ).opened(store or settings.store.path or str(data_dir / "rco.db"))
    except ConfigInvalid as problem:
        found.append(fail("database", problem.message, problem.cure))
    else:
        if is_postgres(where):
            found += guarded("database", lambda: _postgres(where, settings.store, stuck_us, max(1, links)))
        else:
            path = Path(where)
            found += guarded("database", lambda: _sqlite(Path(where), stuck_us, max(1, links)))
    found += guarded("service", lambda: _service(data_dir))
    for name, outbox in settings.outboxes.items():
        found += guarded(f"outbox {name}", partial(_outbox, settings, name, outbox.database))
    found += guarded("payloads", lambda: _objects(settings))
    found += guarded("files", lambda: _files(settings, data_dir, path))
    if json:
        worst = [one for one in found if one.result is Word.FAIL]
        print_json({"ok": not worst, "checks": found})
    else:
        rows = [(one.check, (one.result.value, _STYLES[one.result]), one.found, one.cure) for one in found]
        print_table(("Check", "Result", "Found", "Cure"), rows, nothing="Nothing was looked at.")
    return Exit.FAILED if any(one.result is Word.FAIL for one in found) else Exit.OK


def _sqlite(path: Path, stuck_us: int, links: int) -> Iterator[Any]:
    import sqlite3

    from rco.cli.checkup import database, sqlite
    from rco.cli.checkup.report import fail, guarded
    from rco.kit.clock import SystemClock
    from rco.store.sqlite import examine
    from rco.store.sqlite.snapshot import open_snapshot

    now_us = SystemClock().now_us()
    try:
        with open_snapshot(path) as snapshot:
            yield from guarded("database", lambda: sqlite.files(path))
            yield from guarded("integrity", lambda: sqlite.integrity(snapshot.connection))
            yield from guarded("leases", lambda: sqlite.owner(path, snapshot))
            yield from guarded("audit chain", lambda: database.chain(snapshot, links))
            owned = examine.held(path) != 0
            yield from guarded("runs", lambda: database.runs(snapshot, now_us, stuck_us, owned))
    except (RcoError, sqlite3.Error) as problem:
        cure = getattr(problem, "cure", "") or "Restore a backup: rco restore FILE."
        yield fail("database", getattr(problem, "message", str(problem)), cure)


def _postgres(dsn: str, options: StoreOptions, stuck_us: int, links: int) -> Iterator[Any]:
    from rco.cli.checkup.report import fail, guarded
    from rco.kit.clock import SystemClock
    from rco.store.opening import need_postgres

    clock = SystemClock()
    try:
        need_postgres()
        from rco.cli.checkup import database, postgres
        from rco.store.postgres.options import postgres_options
        from rco.store.postgres.snapshot import open_snapshot

        with open_snapshot(dsn, postgres_options(options)) as snapshot:
            yield from guarded("database", lambda: postgres.server(snapshot))
            yield from guarded("clock skew", lambda: postgres.clocks(snapshot, clock))
            yield from guarded("nodes", lambda: postgres.nodes(snapshot))
            yield from guarded("leases", lambda: postgres.leases(snapshot))
            yield from guarded("history", lambda: postgres.rewinds(snapshot))
            yield from guarded("partitions", lambda: postgres.journal(snapshot, clock.now_us()))
            yield from guarded("audit chain", lambda: database.chain(snapshot, links))
            owned = any(node.alive_s for node in snapshot.nodes())
            yield from guarded("runs", lambda: database.runs(snapshot, clock.now_us(), stuck_us, owned))
    except RcoError as problem:
        yield fail("database", problem.message, problem.cure or "Look at the server, its log and the address.")


def _service(data_dir: Path) -> Iterator[Any]:
    import asyncio

    from rco.cli.checkup.report import fail, unknown
    from rco.cli.checkup.service import ask_all, told
    from rco.cli.node import read_node
    from rco.client import Client

    node = read_node(data_dir)
    if node is None:
        yield unknown("service", f"none is noted in {data_dir}", "Start one with rco serve if it should run.")
        return

    async def put() -> Any:
        token = (data_dir / "admin.token").read_text().strip()
        async with Client(node.url, token, timeout_s=10.0) as client:
            return await ask_all(client)

    try:
        said = asyncio.run(put())
    except OSError as problem:
        yield unknown("service", f"its token cannot be read: {problem.strerror}", "Run this as the service's user.")
        return
    except RcoError as problem:
        yield fail("service", f"process {node.pid} at {node.url}: {problem.message}", problem.cure or "See its log.")
        return
    yield from told(said)


def _outbox(settings: Any, name: str, database: str) -> Iterator[Any]:
    from rco.cli.checkup.outbox import lag
    from rco.cli.userbase import UserBase
    from rco.config import Secrets

    declared = settings.databases[database]
    yield from lag(name, UserBase(Secrets(os.environ)(declared.dsn), database, declared))


def _objects(settings: Any) -> Iterator[Any]:
    from rco.cli.checkup.objects import reach

    yield from reach(settings)


def _files(settings: Any, data_dir: Path, path: Path | None) -> Iterator[Any]:
    from rco.cli.checkup import files
    from rco.cli.checkup.report import guarded
    from rco.config import Secrets

    yield from guarded("modes", lambda: files.modes(data_dir, path))
    yield from guarded("disk", lambda: files.disk(data_dir if path is None else path.parent))
    yield from guarded("secrets", lambda: files.secrets(settings, Secrets(os.environ)))
    yield from guarded("clock", files.clock)
