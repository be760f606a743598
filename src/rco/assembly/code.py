"""The application's code: loaded, checked against the settings, and made into programs with what they reach."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from glob import escape

import msgspec

from rco.assembly.ground import Ground
from rco.config.settings import Settings
from rco.datasource.sources import Datasources
from rco.egress.client import Egress
from rco.engine.program import Program
from rco.errors import ConfigInvalid
from rco.model.queue import Queue
from rco.model.retention import RetentionOptions, RunRule
from rco.operations.bulk_run import bulk_program
from rco.operations.clearance import Granting
from rco.operations.deliver_run import deliver_program
from rco.operations.desk import Desk
from rco.operations.version_run import move_program
from rco.router.table import RoutingTable
from rco.webhooks.book import ORDERED, Book
from rco.workflow.body import Contents
from rco.workflow.versions import Versions, load_versions

__all__ = ["Reach", "load_code", "open_threads", "queues_declared", "queues_of", "retention_of", "table_of"]


def load_code(settings: Settings, developing: bool) -> Versions:
    """Under development there are no versions: code changes in place, and runs go on with what is there."""
    if developing:
        app = settings.app or settings.apps.get(settings.app_version, "")
        return load_versions(app, "", {})
    return load_versions(settings.app, settings.app_version, settings.apps)


def queues_declared(settings: Settings, versions: Versions) -> None:
    """Raise ``ConfigInvalid`` for a workflow whose queue nobody declared: its runs could never be started."""
    for workflow in () if versions.current is None else versions.current.workflows:
        if workflow.queue and workflow.queue not in settings.queues:
            raise ConfigInvalid(
                f"workflow {workflow.name!r} waits in {workflow.queue!r}, which is not declared.",
                cure=f"Write: queues: {{{workflow.queue}: {{concurrency: 10}}}}.",
                key=f"queues.{workflow.queue}",
            )


def queues_of(settings: Settings, book: Book) -> dict[str, Queue]:
    """Those that are declared, and the service's own where deliveries are ordered."""
    return {**settings.queues, ORDERED: Queue(per_key_concurrency=1, ordered=True)} if book.ordered else settings.queues


def retention_of(settings: Settings, versions: Versions) -> RetentionOptions:
    """The rules that are set, and behind them the classes that workflows name for themselves. Raises ``ConfigInvalid``
    for a class that nobody declared: what is to be kept by it would be kept for ever."""
    options, known = settings.retention, list(settings.retention.classes)
    own: dict[str, str] = {}
    current = [] if versions.current is None else [versions.current]
    for workflow in (one for application in (*current, *versions.pool.values()) for one in application.workflows):
        if workflow.retention and workflow.retention not in known:
            near = get_close_matches(workflow.retention, known, n=1)
            raise ConfigInvalid(
                f"workflow {workflow.name!r} is to be kept by the class {workflow.retention!r}, which is not declared.",
                cure=f"Did you mean {near[0]}?"
                if near
                else f"Write: retention: {{classes: {{{workflow.retention}: {{keep: 30d}}}}}}.",
                key=f"retention.classes.{workflow.retention}",
            )
        own.setdefault(workflow.name, workflow.retention)
    named = [RunRule(keep=keep, workflow=escape(name)) for name, keep in own.items() if keep]
    return msgspec.structs.replace(options, runs=[*options.runs, *named])


def table_of(settings: Settings, versions: Versions) -> RoutingTable:
    """Who wants which event: what the code says, and what the settings say."""
    own = [] if versions.current is None else versions.current.subscriptions()
    return RoutingTable.build([*own, *settings.subscriptions])


def open_threads(ground: Ground) -> Executor:
    """Where steps that are not asynchronous run."""
    threads = ThreadPoolExecutor(ground.settings.engine.step_threads, thread_name_prefix="rco-step")
    ground.stops.append(partial(asyncio.to_thread, threads.shutdown, wait=False, cancel_futures=True))
    return threads


@dataclass(frozen=True, slots=True)
class Reach:
    """What the code may reach: targets under its rights, threads, databases, content; and, the service's own, the
    desk."""

    egress: Egress
    threads: Executor
    databases: Datasources
    granting: Granting | None
    contents: Contents
    desk: Callable[[], Desk]

    def programs(self, versions: Versions) -> tuple[list[Program], dict[str, list[Program]] | None]:
        """What new runs begin with, and by version what older ones go on with."""
        own = [program(self.desk) for program in (bulk_program, move_program, deliver_program)]
        held = None if self.granting is None else partial(self.granting.caller, self.egress)
        reach = (self.egress, self.threads, held, self.databases, self.contents)
        return [*versions.programs(*reach), *own], versions.pooled(*reach)
