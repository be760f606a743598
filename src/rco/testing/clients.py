"""Clients of a simulated world: they start, signal, cancel and deliver, try again without an answer, and keep a log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.engine.engine import Engine
from rco.engine.forking import ForkAsk
from rco.engine.moving import MoveAsk
from rco.errors import Conflict, NotFound
from rco.kit.digest import digest
from rco.model.attribute import Attribute, AttributeFilter, Type
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.journal import Kind, decode_segment
from rco.model.run import Mode, RunRow
from rco.model.version import pin
from rco.store.contract.changes import Admission, Admitted, Claim
from rco.store.contract.reader import RunFilter
from rco.testing.database import ModelDatabase
from rco.testing.loop import VirtualLoop
from rco.testing.node import Node, starts
from rco.testing.plan import Plan
from rco.testing.upstream import Upstream
from rco.testing.workloads import KINDS, QUEUED

__all__ = ["Asked", "Clients"]

ANSWER_WITHIN_S = 4.0
UNDER_WAY_S = 25.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told in the end. ``acknowledged`` false: it was refused for good."""

    verb: str
    name: str
    """The start key, the message id or the event id."""
    run_id: bytes = b""
    order: str = ""
    kind: str = ""
    acknowledged: bool = True
    at_s: float = 0.0
    where: AttributeFilter | None = None
    found: tuple[bytes, ...] = ()
    """Of a list: what was asked for, and who was on it."""


class Unknown(Exception):
    """No answer came: it may have been done or not."""


class Clients:
    """All clients of one world."""

    def __init__(
        self,
        loop: VirtualLoop,
        nodes: list[Node],
        database: ModelDatabase,
        upstream: Upstream,
        plan: Plan,
        random: Random,
        told: Callable[[str], None],
    ) -> None:
        self._loop, self.nodes, self._database, self._upstream = loop, nodes, database, upstream
        self._plan, self._random, self._told = plan, random, told
        self.actor = loop.actor("clients")
        self.log: list[Asked] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.calm = False
        self.swept: Callable[[], bool] = lambda: True
        """Whether all has gone that may go."""
        self.at_rest: Callable[[RunRow], bool] = lambda _: False
        """Whether an open run has come to its end all the same."""

    def begin(self) -> None:
        """Start them all, and the person who settles what is in doubt."""
        for number in range(self._plan.runs):
            self.tasks.append(self._loop.spawn(self.actor, self._insist_on(f"o{number}")))
        self._loop.spawn(self.actor, self._settle())
        self._last = self._loop.spawn(self.actor, self._look_back())

    @property
    def finished(self) -> bool:
        return self._last.done()

    def node_of(self, engine: Engine) -> Node:
        """The node whose engine this is now."""
        return next(node for node in self.nodes if node.engine is engine)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, work: Callable[[Engine], Any], node: Node | None = None) -> Any:
        """Send one request to some node. Raises ``Unknown`` when no answer comes, else what the node answered."""
        loop, random = self._loop, self._random
        node = node or random.choice(self.nodes)
        future: asyncio.Future[Any] = loop.create_future()
        latency_s = 0.001 + 0.01 * random.random()

        def reply(result: Any, error: BaseException | None) -> None:
            loop.post_later(self.actor, latency_s, _settle_future, future, result, error)

        if not node.up:
            await asyncio.sleep(latency_s)
            raise Unknown
        loop.post_later(node.actor, latency_s, node.serve, work, reply)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await future
        except TimeoutError:
            raise Unknown from None

    async def insist(
        self, verb: str, name: str, work: Callable[[Engine], Any], final: tuple[type[Exception], ...] = ()
    ) -> Any:
        """Ask until there is an answer. ``final``: errors that are one."""
        while True:
            try:
                return await self.ask(work)
            except final:
                raise
            except Exception as problem:  # noqa: BLE001 - a client tries again whatever it was
                self._told(f"client: {verb} {name}: {type(problem).__name__}, again")
                await asyncio.sleep(0.1 + self._random.random())

    def _note(self, verb: str, name: str, **more: Any) -> None:
        asked = Asked(verb=verb, name=name, at_s=self._loop.world.now_s, **more)
        self._told(f"client: {verb} {name} {'ok' if asked.acknowledged else 'refused'} {asked.run_id.hex()}")
        self.log.append(asked)

    # -- orders ----------------------------------------------------------------------------------------------------

    async def _insist_on(self, order: str) -> None:
        """Have one order done. Where the database lost commits, everything is asked for again when all is calm: the
        same keys and the same message ids must lead to the same."""
        await self._order(order)
        while not self.calm:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1.0)
        if self._database.rewinds:
            await self._order(order, again=True)

    async def _order(self, order: str, again: bool = False) -> None:
        random = Random(f"{order} {self._plan.seed}")  # noqa: S311 - not for secrets
        kind = random.choice(KINDS)
        given: dict[str, Any] = {"order": order}
        await asyncio.sleep(random.random() * self._plan.start_within_s)
        if kind == "chain":
            run_id = await self._start(order, "chain", {**given, "steps": random.randint(1, 6)})
            await self._maybe_fork(order, run_id)
        elif kind == "spend":
            await self._start(order, "spend", {**given, "steps": random.randint(1, 6)})
        elif kind == "gate":
            await self._gate(order, random, random.randint(1, 4))
        elif kind == "nap":
            said = (Attribute("order", Type.TEXT, order), Attribute("long", Type.BOOL, None, 1.0))
            given["seconds"] = round(random.random() * 20, 3)
            run_id = await self._start(order, "nap", given, said=said)
            await self._maybe_fork(order, run_id)
        elif kind == "fan":
            await self._start(order, "fan", {**given, "width": random.randint(1, 4)})
        elif kind == "trip":
            await self._trip(order, random)
        elif kind == "charge":
            await self._start(order, "charge", {**given, "step": random.random() < 0.5})
        elif kind == "checked":
            await self._start(order, "checked", {**given, "grace_s": self._late_s})
        elif kind == "meeting":
            # Who waits is opened first: events from before it do not count. What is before is told by the clocks of
            # two nodes, so as much as they may differ is waited for.
            await self._start(order, "listener", given)
            await asyncio.sleep(self._plan.clocks_differ_s + random.random() * random.choice((0.01, 5.0)))
            await self._start(order, "teller", given)
            if again:
                # A new one, for a listener that is new because the first was lost.
                await self._start(order, "teller", given, "again")
        elif kind == "event":
            await self._deliver(order)
        else:
            await self._start(order, kind, {**given, "seconds": round(random.random() * 5, 3)})

    async def _start(
        self, order: str, workflow: str, given: dict[str, Any], more: str = "", said: tuple[Attribute, ...] = ()
    ) -> bytes:
        key = f"{workflow}:{order}{more}"
        seat = self._seat(order, workflow)
        ask = StartAsk(workflow=workflow, input=given, key=key, corr_id=order, attributes=said, **seat)
        started = await self.insist("start", key, lambda engine: engine.start_run(ask), (Conflict,))
        run_id: bytes = started.run_id
        self._note("start", key, run_id=run_id, order=order, kind=workflow)
        self._maybe_pause(key, run_id)
        self._maybe_move(key, run_id)
        return run_id

    def _seat(self, order: str, workflow: str) -> dict[str, Any]:
        """Some wait in the queue, where there is one; none of which others must begin for it to end."""
        random = Random(f"queue {order} {self._plan.seed}")  # noqa: S311 - not for secrets
        if self._plan.queue is None or workflow not in QUEUED or random.random() < 0.2:
            return {}
        return {"queue": "q", "fair_key": f"k{random.randrange(3)}", "priority": random.choice((5, 5, 5, 2))}

    # -- pauses ----------------------------------------------------------------------------------------------------

    def _maybe_pause(self, key: str, run_id: bytes) -> None:
        random = Random(f"pause {key} {self._plan.seed}")  # noqa: S311 - not for secrets
        if random.random() < self._plan.pause:
            self.tasks.append(self._loop.spawn(self.actor, self._pause(key, run_id, random)))

    async def _pause(self, key: str, run_id: bytes, random: Random) -> None:
        """Set a run aside once or twice, and let it go on some time later. Asked for once more, both are new requests:
        the old one to go on may have come through and stand unread before the new one to pause."""
        when = "again" if self.calm else ""
        for number in range(random.choice((1, 1, 2))):
            await asyncio.sleep(random.random() * random.choice((0.1, 3.0)))
            if not await self._steer("pause", key, run_id, f"{number}{when}"):
                return
            await asyncio.sleep(random.random() * random.choice((0.1, 5.0)))
            if not await self._steer("resume", key, run_id, f"{number}{when}"):
                return

    async def _steer(self, verb: str, key: str, run_id: bytes, message_id: str) -> bool:
        """Whether the run was open to hear it."""

        def steer(engine: Engine) -> Any:
            ask = engine.pause if verb == "pause" else engine.resume
            return ask(run_id, "", "client", Decision(verb=Verb(verb), at_us=0, subject=key), message_id)

        try:
            await self.insist(verb, key, steer, (NotFound,))
        except NotFound:
            self._note(verb, key, run_id=run_id, acknowledged=False)
            return False
        self._note(verb, key, run_id=run_id)
        return True

    # -- versions --------------------------------------------------------------------------------------------------

    def _maybe_move(self, key: str, run_id: bytes) -> None:
        random = Random(f"move {key} {self._plan.seed}")  # noqa: S311 - not for secrets
        if self._plan.versions and random.random() < self._plan.move:
            self.tasks.append(self._loop.spawn(self.actor, self._move(key, run_id, random)))

    async def _move(self, key: str, run_id: bytes, random: Random) -> None:
        """Try once or twice to move a run to the version that it is not of, whatever it does at that time."""
        for number in range(random.choice((1, 1, 2))):
            await asyncio.sleep(random.random() * random.choice((0.1, 3.0, 20.0)))
            row = self._database.tables.runs.get(run_id)
            if row is None:
                return
            known, name = row, f"{key}/{number}{'again' if self.calm else ''}"
            ask = MoveAsk(to=pin("v1" if row.version == pin("v2") else "v2"), actor="client", move=name)

            def move(engine: Engine, known: RunRow = known, ask: MoveAsk = ask) -> Any:
                return engine.move(known, ask, within_s=2.0)

            tried = await self.insist("move", name, move, (NotFound,))
            self._told(f"client: move {name} of {run_id.hex()} to {ask.to}: {tried.status}")
            # Asked again, one that was moved is found to be so: only the first answer says by whom.
            if tried.status == "moved":
                self._note("move", name, run_id=run_id)

    async def _gate(self, order: str, random: Random, count: int) -> None:
        run_id = await self._start(order, "gate", {"order": order, "count": count})
        for number in range(count):
            await asyncio.sleep(random.random() * random.choice((0.1, 5.0)))
            message_id = f"{order}-{number}"

            def send(engine: Engine, number: int = number, message_id: str = message_id) -> Any:
                decision = Decision(verb=Verb.SIGNAL, at_us=0, subject="gate")
                return engine.signal(run_id, "go", number, message_id, decision)

            try:
                await self.insist("signal", message_id, send, (NotFound,))
            except NotFound:
                self._note("signal", message_id, run_id=run_id, order=order, acknowledged=False)
            else:
                self._note("signal", message_id, run_id=run_id, order=order)

    async def _trip(self, order: str, random: Random) -> None:
        given = {"order": order, "seconds": round(random.random() * 3, 3), "fails": random.random() < 0.5}
        run_id = await self._start(order, "trip", given)
        if random.random() >= self._plan.cancel:
            return
        await asyncio.sleep(random.random() * 3)

        def cancel(engine: Engine) -> Any:
            return engine.cancel(run_id, "no more", "client", Decision(verb=Verb.CANCEL, at_us=0, subject="trip"))

        try:
            await self.insist("cancel", order, cancel, (NotFound,))
        except NotFound:
            self._note("cancel", order, run_id=run_id, order=order, acknowledged=False)
        else:
            self._note("cancel", order, run_id=run_id, order=order)

    async def _deliver(self, order: str) -> None:
        event_id = f"created-{order}"
        await self.insist("deliver", event_id, lambda engine: deliver(engine, event_id, order))
        self._note("deliver", event_id, order=order)

    # -- forks -----------------------------------------------------------------------------------------------------

    async def _maybe_fork(self, order: str, run_id: bytes) -> None:
        """Fork a run at a step that it has recorded by then, whether it is still going on or not."""
        random = Random(f"fork {order} {self._plan.seed}")  # noqa: S311 - not for secrets
        if random.random() >= self._plan.fork:
            return
        await asyncio.sleep(random.random() * random.choice((1.0, 30.0)))
        row = self._database.tables.row(run_id)
        segments = self._database.tables.journal.get(run_id, ())
        keys = list(dict.fromkeys(one.key for segment in segments for one in decode_segment(segment.data) if one.key))
        if row is None or not keys:
            return
        step, known = random.choice(keys), row

        def fork(engine: Engine) -> Any:
            return engine.fork(known, ForkAsk(step=step, key="again", actor="client"))

        try:
            started = await self.insist("fork", order, fork, (NotFound, Conflict))
        except (NotFound, Conflict):
            # The database has lost what it had recorded, or the first fork's key stands for another step.
            self._note("fork", order, run_id=run_id, order=order, acknowledged=False)
        else:
            self._note("fork", order, run_id=started.run_id, order=order, kind=run_id.hex())

    # -- afterwards ------------------------------------------------------------------------------------------------

    @property
    def _resting(self) -> bool:
        tables = self._database.tables
        ticking = any(row.due_us is not None for row in tables.schedules.values())
        going = any(not self.at_rest(row) for row in tables.runs.values())
        return self.calm and all(task.done() for task in self.tasks) and not (going or ticking)

    async def _look_back(self) -> None:
        """When all has come to rest and what is over its time must have gone, list runs by what they said."""
        while not self._resting:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.5)
        await self._linger()
        random = Random(f"lists {self._plan.seed}")  # noqa: S311 - not for secrets
        order = f"o{random.randrange(self._plan.runs)}"
        for where in (
            AttributeFilter("order", "=", order),
            AttributeFilter("step", ">=", str(random.randrange(5))),
            AttributeFilter("long", "=", "true"),
            AttributeFilter("fails", "=", random.choice(("true", "false"))),
        ):
            ask = RunFilter(attributes=(where,), limit=1000)

            def list_them(engine: Engine, ask: RunFilter = ask) -> Any:
                return engine._reader.runs(ask)

            rows = await self.insist("list", where.name, list_them)
            self._note("list", where.name, where=where, found=tuple(row.run_id for row in rows))

    async def _linger(self) -> None:
        """Until all has gone that may go, as far as the plan has time for it. Not at once: what nobody waits for any
        more may still be under way."""
        linger_s = self._plan.linger_s
        await asyncio.sleep(min(linger_s, UNDER_WAY_S))
        until_s = self._loop.world.now_s + linger_s - UNDER_WAY_S
        while self._loop.world.now_s < until_s and not self.swept():  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1.0)

    # -- doubt -----------------------------------------------------------------------------------------------------

    @property
    def _late_s(self) -> float:
        """As long a request that was sent may still be on its way."""
        return 3 * self._plan.upstream_timeout_s + 4 * self._plan.upstream_s[1]

    async def _settle(self) -> None:
        """Look at each call in doubt when its effect would have come, and say what became of it."""
        seen: dict[tuple[bytes, str, int], float] = {}
        patience_s = self._late_s
        while True:
            await asyncio.sleep(1.0)
            now_s, tables = self._loop.world.now_s, self._database.tables
            for run_id in [row.run_id for row in tables.runs.values() if row.mode is Mode.IN_DOUBT]:
                for step, times in self._doubts(run_id):
                    since_s = seen.setdefault((run_id, step, times), now_s)
                    # Whom a probe settles is left to it for long.
                    if now_s - since_s >= patience_s * (10 if self._probed(run_id) else 1):
                        await self._settle_one(run_id, step)

    def _probed(self, run_id: bytes) -> bool:
        row = self._database.tables.runs.get(run_id)
        return row is not None and row.workflow == "checked"

    def _doubts(self, run_id: bytes) -> list[tuple[str, int]]:
        doubts: dict[str, int] = {}
        for segment in self._database.tables.journal.get(run_id, ()):
            for record in decode_segment(segment.data):
                if record.kind == Kind.IN_DOUBT:
                    doubts[record.key] = doubts.get(record.key, 0) + 1
                elif record.kind in (Kind.SETTLED, Kind.STEP_END):
                    doubts.pop(record.key, None)
        return list(doubts.items())

    async def _settle_one(self, run_id: bytes, step: str) -> None:
        done = [one for one in self._upstream.done if (one.run_id, one.step) == (run_id, step)]
        verdict, value = "failed", None
        if done:
            body = {"number": -1, "what": done[0].what, "order": done[0].order, "status": 200}
            verdict, value = "done", {"status": 200, "headers": {}, "body": body}
        elif self._random.random() < self._plan.settle_again:
            verdict = "again"
        decision = Decision(verb=Verb.SETTLE, at_us=0, subject=step)
        self._told(f"person: {step} of {run_id.hex()} is {verdict}")

        def settle(engine: Engine) -> Any:
            return engine.settle(run_id, step, verdict, value, "looked", "person", decision)

        owner = self._database.tables.leases[self._database.tables.home(run_id)][0]
        node = next((node for node in self.nodes if node.alias == owner), None)
        try:
            await self.ask(settle, node)
        except Exception as problem:  # noqa: BLE001 - looked at again a second later
            self._told(f"person: {type(problem).__name__}")


def _settle_future(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


async def deliver(engine: Engine, event_id: str, order: str) -> None:
    """Accept a verified event and the run it starts in one commit, as the ingress does."""
    now_us = engine._clock.now_us()
    event = Event(
        id=event_id,
        source="/shop",
        type="order.created",
        data=b"{}",
        time_us=now_us,
        received_us=now_us,
        corr_id=event_id,
        subject=order,
    )
    engine.admit()
    openings = [engine.prepare(one.ask) for one in starts(event).asks]
    admission = Admission(
        done=_ignore,
        failed=_ignore,
        claim=Claim(digest(event_id.encode()), event_id, now_us + 10**12),
        event=event,
        keyed=[
            (opening.start_key, opening.row, opening.segment, opening.decision)
            for opening in openings
            if opening.start_key
        ],
        accepted=[Decision(verb=Verb.ACCEPT, at_us=now_us, event=event_id)],
        duplicate=[Decision(verb=Verb.ACCEPT, at_us=now_us, event=event_id, reason="duplicate")],
    )

    def then(outcome: Admitted) -> None:
        if outcome.status == "accepted":
            for opening in openings:
                if opening.row.run_id not in outcome.skipped:
                    engine.begin(opening)

    await engine.submit(engine._owner.home(openings[0].row), admission, then)


def _ignore(_: Any) -> None:
    """Replaced before use."""
