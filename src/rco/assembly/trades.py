"""Who does the work: the engine that runs, the scheduler that starts, the dispatcher that lets begin."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from rco.assembly.code import queues_of
from rco.assembly.ground import Ground
from rco.config.check import calendars_of
from rco.engine.children import as_it_is
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.program import Programs
from rco.model.event import Event
from rco.model.schedule import Schedule
from rco.operations.clearance import OPEN, GrantFor, Granting
from rco.operations.spaces import Spaces
from rco.payloads.keeping import PayloadStore
from rco.queues.dispatcher import Dispatcher
from rco.scheduler.rules import rules_of
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.keeper import Keeper
from rco.store.contract.news import Topic
from rco.store.contract.reader import Reader
from rco.webhooks.book import Book

__all__ = ["make_dispatcher", "make_engine", "make_scheduler"]


def make_engine(
    ground: Ground,
    keeper: Keeper,
    reader: Reader,
    programs: Programs,
    starts: Callable[[Event], Started],
    granting: Granting | None,
    payloads: PayloadStore | None,
) -> Engine:
    """The engine, not started. ``starts`` says what an emitted event begins."""
    engine = Engine(
        keeper.writer,
        reader,
        programs,
        starts,
        clock=ground.clock,
        ids=ground.ids,
        random=random.random,
        options=ground.settings.engine,
        ownership=keeper.ownership,
        inherit=as_it_is if granting is None else granting.authority.inherited,
        payloads=payloads,
    )
    keeper.on_mail(engine.wake)
    return engine


def make_scheduler(
    ground: Ground, keeper: Keeper, reader: Reader, engine: Engine, spaces: Spaces, granting: Granting | None
) -> Scheduler:
    """The scheduler, not started."""
    calendars, clearance = calendars_of(ground.settings), granting or OPEN

    def clear(schedule: Schedule, corr_id: str) -> GrantFor | None:
        spaces.ticks(schedule.namespace)
        return clearance.schedule(schedule.name, schedule.namespace, schedule.spec.workflow, corr_id)

    return Scheduler(
        engine,
        keeper.writer,
        reader,
        keeper.ownership,
        clock=ground.clock,
        ids=ground.ids,
        options=ground.settings.scheduler,
        calendars=calendars,
        rules=rules_of(calendars),
        clear=clear,
        hear=partial(keeper.on_news, Topic.SCHEDULES),
    )


def make_dispatcher(ground: Ground, keeper: Keeper, engine: Engine, book: Book) -> Dispatcher:
    """The dispatcher, not started."""
    return Dispatcher(
        engine,
        keeper.writer,
        keeper.reader,
        keeper.ownership,
        clock=ground.clock,
        queues=queues_of(ground.settings, book),
        options=ground.settings.dispatcher,
    )
