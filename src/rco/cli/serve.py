"""``rco serve`` and ``rco dev``: a service in this process, from start to drain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from rco import __version__
from rco.app import Service, build
from rco.cli.config_file import config_file
from rco.cli.ending import told
from rco.cli.exits import Exit
from rco.cli.node import forget_node, note_node
from rco.cli.sources import Digests, changes, digests_of, files_of
from rco.config import Loaded, Settings, diff, load
from rco.errors import ConfigInvalid, RcoError
from rco.kit.dumps import forbid_dumps
from rco.kit.lifecycle import stop_task

__all__ = ["dev", "run_service", "serve"]

_AGAIN = "RCO_DEV_AGAIN"
"""Set for the process that ``rco dev`` becomes after a change."""


def serve(
    *,
    config: Path | None = None,
    app: str | None = None,
    app_version: str | None = None,
    store: str | None = None,
    bind: str | None = None,
) -> int:
    """Run a service until SIGTERM or SIGINT, then drain. SIGHUP reads the configuration again.

    Parameters
    ----------
    config
        The configuration; rco-config.yaml here when not given.
    app
        The application: a module (package.module) or a file (app.py).
    app_version
        The version of the application, to which its runs are pinned; auto: a digest of its sources.
    store
        The database: a SQLite file, or postgresql://... It must be migrated: rco migrate.
    bind
        Address to serve on, e.g. 0.0.0.0:8080.
    """
    flags = {"app": app, "app_version": app_version, "store.path": store, "server.bind_addr": bind}

    def read() -> Loaded:
        return load(config_file(config), os.environ, flags)

    return run_service(read, config_file(config), migrating=False)


def run_service(read: Callable[[], Loaded], config: Path | None, *, migrating: bool) -> int:
    """Run what ``read`` says until a signal ends it; read again at SIGHUP and when ``config``, or a file that holds a
    secret, changes. ``migrating``: bring the database to this release first."""
    loaded = read()
    if loaded.settings.amnesia.enabled:
        sys.dont_write_bytecode = True
    return _run(lambda: _serve(loaded, read, config, migrating))


def dev(
    app: str | None = None,
    *,
    config: Path | None = None,
    store: str | None = None,
    bind: str | None = None,
) -> int:
    """Run an application with defaults: migrates its database, and starts again whenever its code changes.

    Parameters
    ----------
    app
        The application: a file (app.py) or a module (package.module).
    config
        The configuration; rco-config.yaml here when not given, else defaults.
    store
        The database: a SQLite file, or postgresql://...
    bind
        Address to serve on.
    """
    flags = {"app": app, "store.path": store, "server.bind_addr": bind}
    if sys.stdout.isatty():
        flags["logging.format"] = "console"
    read = config_file(config)
    again = os.environ.pop(_AGAIN, "") == "1"
    watched = _watched(app, read)
    try:
        loaded = load(read, os.environ, flags)
    except ConfigInvalid as error:
        if not again:
            raise
        _say(told(error))
        return _run(lambda: _wait_for_change(watched))
    return _run(lambda: _develop(loaded, watched, again))


def _run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import uvloop

    forbid_dumps()
    status = uvloop.run(main())
    if status == _CHANGED:
        # The same process, begun anew: no stale module survives, and whoever watches this process keeps it.
        sys.stdout.flush()
        sys.stderr.flush()
        os.environ[_AGAIN] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "rco", *sys.argv[1:]])  # noqa: S606 - ourselves
    return status


_CHANGED = -1


async def _serve(loaded: Loaded, read: Callable[[], Loaded], config: Path | None, migrating: bool) -> int:
    ending = _Ending()
    held = loaded.settings
    known = digests_of(files_of(config, held))
    service = await _unless_stopped(_started(held, migrating=migrating), ending)
    if service is None:
        return Exit.OK
    service.failed.add_done_callback(lambda _: ending.put("failed"))
    watching = asyncio.create_task(_watch(config, held, known, ending))
    try:
        while (word := await ending.next()) == "reload":
            service.reopen_sinks()
            known = digests_of(files_of(config, held))
            held = await _reload(service, held, read)
            await stop_task(watching)
            watching = asyncio.create_task(_watch(config, held, known, ending))
    finally:
        await stop_task(watching)
        await _stop(service, loaded.settings)
    return _status(service, word)


async def _watch(config: Path | None, settings: Settings, known: Digests, ending: _Ending) -> None:
    async for _ in changes(files_of(config, settings), known):
        ending.put("reload")


def _status(service: Service, word: str) -> int:
    if word != "failed":
        return Exit.OK
    problem = service.failed.result()
    _say(f"it cannot go on: {told(problem) if isinstance(problem, RcoError) else repr(problem)}")
    return Exit.FAILED


async def _develop(loaded: Loaded, watched: list[Path], again: bool) -> int:
    # Signals and changes are heard from here on: what comes while the service starts is not missed.
    ending = _Ending()
    changed = asyncio.create_task(_change(watched))
    changed.add_done_callback(lambda _: ending.put("changed"))
    await asyncio.sleep(0)
    try:
        try:
            service = await _unless_stopped(_started(_open_to_look(loaded.settings), migrating=True), ending)
        except RcoError as error:
            if not again:
                raise
            _say(told(error))
            while (word := await ending.next()) == "reload":
                pass
            return _CHANGED if word == "changed" else Exit.OK
        if service is None:
            return Exit.OK
        service.failed.add_done_callback(lambda _: ending.put("failed"))
        try:
            while (word := await ending.next()) == "reload":
                pass
        finally:
            await _stop(service, loaded.settings)
        return _CHANGED if word == "changed" else _status(service, word)
    finally:
        await stop_task(changed)


async def _unless_stopped(starting: Coroutine[Any, Any, Service], ending: _Ending) -> Service | None:
    """The service that is started; None when it was told to stop before: then everything is down again."""
    begun = asyncio.create_task(starting)
    stopped = asyncio.create_task(ending.stopped())
    try:
        await asyncio.wait((begun, stopped), return_when=asyncio.FIRST_COMPLETED)
        if begun.done() or not stopped.done():
            return await begun
        _say("told to stop while it was starting")
        return None
    finally:
        await stop_task(stopped)
        await stop_task(begun)


def _open_to_look(settings: Settings) -> Settings:
    """Whoever develops may ask for the schema of the graph."""
    graphql = msgspec.structs.replace(settings.graphql, introspection=True)
    return msgspec.structs.replace(settings, graphql=graphql)


async def _started(settings: Settings, *, migrating: bool = False) -> Service:
    service = await build(settings, migrating=migrating)
    await service.start()
    if settings.amnesia.enabled:
        _say(f"serving {service.url} (metrics {service.metrics_url}), everything in memory")
        return service
    try:
        note_node(Path(settings.data_dir), url=service.url, metrics_url=service.metrics_url, version=__version__)
    except BaseException:
        await service.stop()
        raise
    _say(f"serving {service.url} (metrics {service.metrics_url}), data in {settings.data_dir}")
    return service


async def _stop(service: Service, settings: Settings) -> None:
    forget_node(Path(settings.data_dir))
    await service.stop()


async def _reload(service: Service, held: Settings, read: Callable[[], Loaded]) -> Settings:
    """Take over a changed configuration, whole or not at all. Returns the settings in effect."""
    try:
        fresh = read().settings
        differences = diff(held, fresh)
        await service.reload(fresh)
    except RcoError as error:
        service.keep(error)
        _say(f"the configuration is not taken over: {told(error)}")
        return held
    for change in differences:
        before, after = (msgspec.json.encode(value).decode() for value in (change.before, change.after))
        _say(f"configuration: {change.key}: {before} -> {after}")
    return fresh


class _Ending:
    """What happens to the service, as words: ``reload`` for SIGHUP, ``stop`` for SIGTERM and SIGINT.

    A word that waits is not put a second time, and a stop goes before all others: however many reloads are asked for
    while one takes its time, it is not lost among them.
    """

    def __init__(self) -> None:
        self._words: dict[str, None] = {}
        self._more, self._stop = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number, word in ((signal.SIGTERM, "stop"), (signal.SIGINT, "stop"), (signal.SIGHUP, "reload")):
            loop.add_signal_handler(number, self.put, word)

    def put(self, word: str) -> None:
        self._words[word] = None
        self._more.set()
        if word == "stop":
            self._stop.set()

    async def next(self) -> str:
        while not self._words:
            self._more.clear()
            await self._more.wait()
        word = "stop" if "stop" in self._words else next(iter(self._words))
        del self._words[word]
        return word

    async def stopped(self) -> None:
        """Returns once a stop was asked for; it still waits for ``next``."""
        await self._stop.wait()


def _watched(app: str | None, config: Path | None) -> list[Path]:
    """The folder of the application's code, and the configuration."""
    folder = Path.cwd()
    if app is not None and app.endswith(".py"):
        folder = Path(app).resolve().parent
    return [folder, *([config.resolve()] if config is not None else [])]


async def _wait_for_change(watched: list[Path]) -> int:
    await _change(watched)
    return _CHANGED


async def _change(watched: list[Path]) -> None:
    from watchfiles import PythonFilter, awatch

    wanted = PythonFilter(extra_extensions=(".yaml", ".yml"))
    async for _ in awatch(*(path for path in watched if path.exists()), watch_filter=wanted):
        _say("changed; starting again")
        return


def _say(text: str) -> None:
    sys.stderr.write(f"rco: {text}\n")
    sys.stderr.flush()
