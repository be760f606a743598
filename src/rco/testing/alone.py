"""The node of a test: one service without faces, on a store in memory, that can be killed and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any

from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Ask, Started
from rco.engine.engine import Engine
from rco.engine.operation import Effect
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.errors import Misuse
from rco.kit.digest import digest
from rco.kit.ids import Ids
from rco.model.effect import Answer, Attempt
from rco.model.event import Event
from rco.model.journal import Record
from rco.model.run import RunRow, shard_of
from rco.model.schedule import Schedule, ScheduleSpec, ScheduleState
from rco.model.target import Target
from rco.operations.receive import event_input
from rco.router.table import RoutingTable
from rco.scheduler.body import row_of
from rco.scheduler.scheduler import Scheduler
from rco.scheduler.ticks import Ticks
from rco.store.contract.changes import Admission, Admitted, Claim
from rco.store.contract.reader import records_of
from rco.store.contract.schedules import TOUCHED_US, ScheduleWrite
from rco.testing.answers import Script
from rco.testing.database import ModelDatabase
from rco.testing.forcing import ForcedReplay
from rco.testing.link import DirectLink
from rco.testing.loop import Actor, InPlace, VirtualLoop
from rco.testing.store import ModelKeeper
from rco.testing.stub_targets import Ledger, StubTargets
from rco.workflow.application import Application
from rco.workflow.calls import Caller
from rco.workflow.conversion import plain

__all__ = ["Kill", "Node"]

OPTIONS = EngineOptions(timer_window_s=30 * 86400.0, park_look_s=30 * 86400.0)
"""Nothing looks around every second: time that is skipped costs nothing."""


CLAIM_US = 400 * 86400 * 10**6
"""How long a repeat of an event is known."""


class Kill:
    """Where a node is to be killed: at its ``number``-th transaction, before or after that is durable."""

    def __init__(self, number: int, *, durable: bool) -> None:
        self.number, self.durable = number, durable


class _Line(DirectLink):
    """Carries requests to the database, and ends with the node at one transaction."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def _do(self, request: Callable[[], Any], answer: Callable[[Any, BaseException | None], None]) -> None:
        node, kill = self._node, self._node.kill_at
        if isinstance(request, partial) and request.func == node.database.commit:
            node.commits += 1
            if kill is not None and kill.number == node.commits:
                if kill.durable:
                    request()
                node.die_and_return()
                return
        super()._do(request, answer)


class Node:
    """The node and its incarnations, over one database and one ledger of the other side."""

    def __init__(
        self,
        loop: VirtualLoop,
        application: Application,
        ledger: Ledger,
        *,
        steps: Script | None,
        targets: Iterable[Target],
        forced: bool,
        seed: int,
        found: Callable[[str, int, str, Any], None],
        caller: Caller | None = None,
    ) -> None:
        self._caller = caller
        self._loop, self._application, self._ledger = loop, application, ledger
        self._steps, self._targets, self._forced, self._found = steps, list(targets), forced, found
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self.database = ModelDatabase(ChainSealer(), lambda: loop.world.now_s)
        self._table = RoutingTable.build(application.subscriptions())
        self.kill_at: Kill | None = None
        self.commits = self.lives = 0
        self.blocked: list[tuple[bytes, dict[str, Any]]] = []
        self.actor: Actor = loop.outside
        self.engine: Engine | None = None
        self._scheduler: Scheduler | None = None
        self.keeper: ModelKeeper
        self.programs: Programs
        self.ids: Ids
        self.forcing: ForcedReplay
        ledger.die = self.die_and_return

    # -- life ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new incarnation; returns when it is up."""
        self.lives += 1
        self.actor = self._loop.actor(f"node.{self.lives}")
        task = self._loop.spawn(self.actor, self._run())
        self._loop.run_until(task.done)
        task.result()

    async def _run(self) -> None:
        clock = self.actor.clock
        self.ids = ids = Ids(clock, self._random.randbytes)
        self.keeper = keeper = ModelKeeper(self.database, clock=clock, node=self.actor.name, link=_Line(self))
        await keeper.start()
        loop = self._loop
        caller = self._caller
        if caller is None:
            caller = StubTargets(self._ledger, self._targets, clock=clock, ids=ids, now_s=lambda: loop.world.now_s)
            await caller.start()
        programs = self._application.programs(caller, InPlace())
        for program in programs:
            # Nobody is before it.
            program.queue = ""
        self.programs = Programs(programs)
        engine = Engine(
            keeper.writer,
            keeper.reader,
            self.programs,
            self._starts,
            clock=clock,
            ids=ids,
            random=self._random.random,
            options=OPTIONS,
        )
        engine._owner.on_blocked.append(lambda run_id, detail: self.blocked.append((run_id, detail)))
        self.forcing = ForcedReplay(engine, self.programs, self.history, self._found, self._stub, self._forced)
        keeper.on_mail(engine.wake)
        await engine.start()
        self.engine = engine
        if self.database.tables.schedules:
            await self._schedules()

    def die(self) -> None:
        """kill -9: what is not in the database is lost."""
        self._loop.kill(self.actor)
        self.engine = self._scheduler = None
        self.database.unlock()

    def die_and_return(self) -> None:
        """Killed from within, at this very moment, and started again by whoever looks after it."""
        self.die()
        self.kill_at = None
        self.lives += 1
        self.actor = self._loop.actor(f"node.{self.lives}")
        self._loop.post(self.actor, self._come_back)

    def _come_back(self) -> None:
        self._loop.create_task(self._run())

    # -- schedules -------------------------------------------------------------------------------------------------

    async def _schedules(self) -> Scheduler:
        """The scheduler, from the first schedule on: it looks at the clock every few seconds."""
        if self._scheduler is None:
            assert self.engine is not None
            keeper = self.keeper
            self._scheduler = Scheduler(
                self.engine,
                keeper.writer,
                keeper.reader,
                keeper.ownership,
                clock=self.actor.clock,
                ids=self.ids,
                rules="test",
            )
            await self._scheduler.start()
        return self._scheduler

    async def schedule(self, name: str, spec: ScheduleSpec) -> None:
        """Make a schedule whose ticks count from now on. Raises ``Misuse`` for what cannot be one."""
        engine = self.engine
        assert engine is not None
        Ticks(spec, {})
        scheduler, now_us = await self._schedules(), self.actor.clock.now_us()
        made = Schedule(
            schedule_id=self.ids.uuid7(),
            name=name,
            namespace="default",
            spec=spec,
            state=ScheduleState(decided_us=now_us),
            revision=1,
            origin="api",
            created_us=now_us,
            updated_us=now_us,
            due_us=TOUCHED_US,
        )
        row = row_of(made, "test")
        admission = Admission(done=_later, failed=_later, schedules=[ScheduleWrite(row=row, expect=None)])
        admitted = await engine.submit(shard_of(row.schedule_id), admission, lambda _: scheduler.heard(row))
        if admitted.status != "accepted":
            raise Misuse(f"there is a schedule {name!r}.", cure="Give it another name.")

    # -- looking ---------------------------------------------------------------------------------------------------

    def history(self, run_id: bytes) -> tuple[RunRow, list[Record]] | None:
        """What is durable of a run."""
        tables = self.database.tables
        row = tables.row(run_id)
        if row is None:
            return None
        return row, records_of(tables.journal.get(run_id, ()))

    # -- what the engine asks --------------------------------------------------------------------------------------

    def _starts(self, event: Event) -> Started:
        matches = self._table.match(event)
        asks = [
            Ask(
                one.name,
                StartAsk(
                    workflow=one.workflow,
                    input=event_input(event),
                    key=key if one.key is None else f"{one.workflow}/{key}",
                    corr_id=event.corr_id,
                    event_id=event.id,
                    actor=event.origin,
                ),
                one.key is not None,
            )
            for one, key in matches.starts
        ]
        return Started(asks, [(one.name, cause) for one, cause in matches.failed])

    async def accept(self, event: Event, engine: Engine) -> list[bytes]:
        """Accept an event from outside with the runs that it starts, in one commit, as the ingress does. Gives the runs
        that this accepting began; of a repeat none."""
        openings = [engine.prepare(one.ask) for one in self._starts(event).asks]
        admission = Admission(
            done=_later,
            failed=_later,
            claim=Claim(digest(f"{event.source} {event.id}".encode()), event.id, event.received_us + CLAIM_US),
            event=event,
            keyed=[
                (one.start_key, one.row, one.segment, one.decision) for one in openings if one.start_key is not None
            ],
        )
        begun: list[bytes] = []

        def begin(outcome: Admitted) -> None:
            if outcome.status == "accepted":
                for one in openings:
                    if one.row.run_id not in outcome.skipped:
                        begun.append(one.row.run_id)
                        engine.begin(one)

        await engine.submit(0, admission, begin)
        return begun

    def _stub(self, op: Effect[Any]) -> None:
        """Put what the test says in the place of a step's function. A call's ``perform`` has no function in it."""
        perform = op.perform
        if self._steps is None or not self._steps.names(op.name):
            return
        if isinstance(perform, partial) and len(perform.args) == 2 and callable(perform.args[0]):
            op.perform = partial(_told, self._steps, op.name, perform.args[1])


def _later(_: Any) -> None:
    """Replaced before use."""


async def _told(steps: Script, name: str, arguments: tuple[Any, ...], attempt: Attempt) -> Answer:
    del attempt
    told = steps.next(name)
    if callable(told) and not isinstance(told, type):
        told = told(*arguments)
        if asyncio.iscoroutine(told):
            told = await told
    if isinstance(told, BaseException):
        raise told
    if isinstance(told, type) and issubclass(told, BaseException):
        raise told(f"the test's answer to step {name}")
    return Answer(plain(told))
