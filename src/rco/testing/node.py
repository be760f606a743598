"""One node of a simulated world: an engine on a model keeper, that can be killed, frozen, cut off and started again."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

from rco.engine.ask import StartAsk
from rco.engine.emitting import Ask, Started
from rco.engine.engine import Engine
from rco.engine.program import Programs
from rco.errors import StoreError
from rco.kit.ids import Ids
from rco.model.event import Event
from rco.model.version import pin
from rco.payloads.fetching import fetching
from rco.payloads.keeping import PayloadStore
from rco.queues.dispatcher import Dispatcher
from rco.queues.options import QueueOptions
from rco.scheduler.options import SchedulerOptions
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.reader import Reader
from rco.testing.clocks import DriftingClock
from rco.testing.collecting import Collecting
from rco.testing.depot import Depot, DepotDoor
from rco.testing.housekeeping import Housekeeping, ModelDesk
from rco.testing.limited import Limited
from rco.testing.loop import Actor, InPlace, VirtualLoop
from rco.testing.plan import Plan
from rco.testing.secrecy import Secrecy
from rco.testing.shelf import Shelf, ShelfDoor
from rco.testing.store import ModelKeeper
from rco.testing.uploads import Uploads
from rco.testing.upstream import ModelCaller, Upstream
from rco.testing.wire import Network
from rco.testing.workloads import VERSIONS, WORKFLOWS, connect, pool_of_programs
from rco.workflow.application import Application

__all__ = ["Node", "starts"]


def starts(event: Event) -> Started:
    """Events of type ``order.created`` start ``fulfil``, once for each event."""
    if event.type != "order.created":
        return Started([], [])
    ask = StartAsk(
        workflow="fulfil",
        input={"order": event.subject},
        key=f"event:{event.id}",
        corr_id=event.corr_id,
        event_id=event.id,
    )
    return Started([Ask("fulfil", ask, keyed=True)], [])


class Node:
    """A node and its incarnations; each has a name of its own, as each process has a number."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        network: Network,
        upstream: Upstream,
        plan: Plan,
        random: Random,
        told: Callable[[str], None],
        shelf: Shelf,
        depot: Depot,
        calm: Callable[[], bool],
    ) -> None:
        self.name, self._loop, self._network, self._upstream = name, loop, network, upstream
        self._plan, self._random, self._told = plan, random, told
        self._shelf, self._depot, self._calm = shelf, depot, calm
        rate = 1 + plan.drift * (2 * random.random() - 1)
        skew_s = plan.skew_s * (2 * random.random() - 1)
        self.clock = DriftingClock(loop.world, rate=rate, skew_s=skew_s, boot_s=1000 * random.random())
        self.life = 0
        self.actor: Actor
        self.engine: Engine | None = None
        self.scheduler: Scheduler | None = None
        self.dispatcher: Dispatcher | None = None
        self.keeper: ModelKeeper | None = None
        self.limited: Limited | None = None
        self.housekeeping: Housekeeping | None = None
        self.collecting: Collecting | None = None
        self.secrecy: Secrecy | None = None
        self.uploads: Uploads | None = None
        self.broken: list[BaseException] = []
        """What ended its lives, where it could write no more."""
        self.on_end: Callable[[Node], None] = lambda _: None
        """Called when the node stops by itself, for its restart."""

    @property
    def versions(self) -> tuple[str, ...]:
        """Those it has."""
        if not self._plan.versions:
            return ()
        return self._plan.pools["abcdefgh".index(self.name)] if self._plan.pools else tuple(VERSIONS)

    @property
    def alias(self) -> str:
        """The name of this incarnation."""
        return f"{self.name}.{self.life}"

    @property
    def up(self) -> bool:
        return self.engine is not None and not self.actor.dead

    def begin(self) -> None:
        """Start a new incarnation."""
        self.life += 1
        self.actor = self._loop.actor(self.alias, self.clock)
        self.actor.context.run(connect, self._upstream)
        self._told(f"{self.alias} starts")
        self._loop.spawn(self.actor, self._boot())

    async def _boot(self) -> None:
        try:
            await self._run()
        except StoreError as problem:
            # As a process would: it ends, and who looks after it starts it again.
            self._told(f"{self.alias} could not start: {problem}")
            self.crash()
            self.on_end(self)

    async def _run(self) -> None:
        plan, network = self._plan, self._network
        several = plan.nodes > 1
        pins = frozenset(pin(name) for name in self.versions)
        keeper = ModelKeeper(
            network.database,
            clock=self.clock,
            node=self.alias,
            link=network.wire(self.alias, self.actor),
            leases=plan.leases if several else None,
            lanes=plan.lanes,
            pins=pins,
        )
        self.keeper = keeper
        keeper.writer.on_failure(self._broken)
        await keeper.start()
        limited = Limited(
            plan,
            keeper.reader,
            self.alias,
            self.clock,
            Random(f"{self.alias} {plan.seed}").random,  # noqa: S311 - not for secrets
            may_send=lambda: self.clock.monotonic() < keeper.ownership.act_until_s,
            leased=several,
        )
        self.limited = limited
        await limited.start()
        reader = cast("Reader", keeper.reader)
        ids = Ids(self.clock, self._random.randbytes)
        if plan.erasure:
            self.secrecy = Secrecy(keeper, self.clock, ids, self._told)
            reader = await self.secrecy.start()
        caller = ModelCaller(self._upstream, limited)
        if plan.versions:
            pool = {name: code for name, code in pool_of_programs(caller).items() if name in pins}
            # Which is the current one differs between nodes, and changes with their lives.
            programs = Programs(list(pool.values())[(self.life + ord(self.name[0])) % len(pool)], pool)
        else:
            programs = Programs(Application("simulation", ".", WORKFLOWS).programs(caller, InPlace()))
        payloads: ShelfDoor | None = None
        if plan.payload_over_bytes:
            payloads = ShelfDoor(self._shelf, plan, Random(f"{self.alias} shelf {plan.seed}"), self._calm)  # noqa: S311 - likewise
            reader = fetching(reader, cast("PayloadStore", payloads), lambda problem: self._told(f"unread: {problem}"))
        engine = Engine(
            keeper.writer,
            reader,
            programs,
            starts,
            clock=self.clock,
            ids=ids,
            random=self._random.random,
            options=plan.options,
            ownership=keeper.ownership,
            payloads=payloads,
        )
        keeper.on_mail(engine.wake)
        if plan.queue is not None:
            self.dispatcher = Dispatcher(
                engine,
                keeper.writer,
                keeper.reader,
                keeper.ownership,
                clock=self.clock,
                queues={"q": plan.queue},
                options=QueueOptions(poll_s=plan.leases.poll_s, page=2, keys_limit=3),
            )
        await engine.start()
        if self.dispatcher is not None:
            await self.dispatcher.start()
        if plan.schedules:
            self.scheduler = Scheduler(
                engine,
                keeper.writer,
                reader,
                keeper.ownership,
                clock=self.clock,
                ids=Ids(self.clock, self._random.randbytes),
                options=SchedulerOptions(window_s=plan.options.timer_window_s, poll_s=plan.leases.poll_s),
                rules="simulation",
            )
            await self.scheduler.start()
        if self.secrecy is not None:
            await self.secrecy.watch(engine, self.scheduler)
        desk = ModelDesk(engine, keeper, self.clock, self._told)
        if plan.retention is not None:
            self.housekeeping = Housekeeping(plan.retention, keeper, desk)
            self.housekeeping.begin()
        if plan.collect_every_s and payloads is not None:
            self.collecting = Collecting(plan, keeper, payloads, desk)
            self.collecting.begin()
        if plan.puts:
            depot = DepotDoor(self._depot, plan, Random(f"{self.alias} depot {plan.seed}"), self._calm)  # noqa: S311 - likewise
            self.uploads = Uploads(plan, keeper, depot, self.clock, self._told)
            await self.uploads.start()
        self.engine = engine
        self._told(f"{self.alias} is up")

    def _broken(self, problem: BaseException) -> None:
        if self.actor.dead:
            return
        self._told(f"{self.alias} can write no more: {type(problem).__name__}: {problem}")
        self.broken.append(problem)
        self.crash()
        self.on_end(self)

    def crash(self) -> None:
        """Kill it: nothing is kept but what the database has."""
        self._told(f"{self.alias} is dead")
        self._loop.kill(self.actor)
        self._ended()

    def _ended(self) -> None:
        self.engine = self.scheduler = self.dispatcher = self.housekeeping = self.secrecy = self.collecting = None
        self.uploads = None
        self._network.detach(self.alias)
        self._network.cut.discard(self.alias)
        if self._plan.nodes == 1:
            self._network.database.unlock()

    def stop(self) -> None:
        """Stop it as an operator would: drain, hand over, end."""
        engine, keeper, scheduler, dispatcher = self.engine, self.keeper, self.scheduler, self.dispatcher
        limited, secrecy = self.limited, self.secrecy
        duties = [one for one in (self.uploads, self.housekeeping, self.collecting) if one is not None]
        if engine is None or keeper is None or limited is None:
            return
        self.engine = None

        async def down() -> None:
            for duty in duties:
                await duty.stop()
            if dispatcher is not None:
                await dispatcher.stop()
            if scheduler is not None:
                await scheduler.stop()
            await engine.stop(self._plan.upstream_timeout_s)
            await limited.stop()
            await keeper.stop()
            if secrecy is not None:
                await secrecy.stop()
            self._told(f"{self.alias} has stopped")
            self._loop.kill(self.actor)
            self._ended()
            self.on_end(self)

        self._told(f"{self.alias} stops")
        self._loop.spawn(self.actor, down())

    def serve(self, work: Callable[[Engine], Any], reply: Callable[[Any, BaseException | None], None]) -> None:
        """Do a client's request in a task of this node."""
        engine = self.engine
        if engine is None:
            reply(None, ConnectionRefusedError(self.alias))
            return

        async def do() -> None:
            try:
                result = await work(engine)
            except Exception as problem:  # noqa: BLE001 - it is the answer
                reply(None, problem)
            else:
                reply(result, None)

        self._loop.spawn(self.actor, do())
