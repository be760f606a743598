"""An environment: a service in memory whose clock, neighbours and deaths are in the hands of a test.

Time is virtual, so nothing here ever waits for anything real: every method does its work and returns. That is why they
are plain methods, for tests that are ``def`` and for tests that are ``async def``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from rco.engine.ask import StartAsk, Started
from rco.engine.engine import Engine
from rco.errors import Conflict, Misuse, NotFound
from rco.kit.canonical import canonical_json
from rco.kit.clock import MICROS
from rco.model.event import Event
from rco.model.schedule import ScheduleSpec
from rco.model.target import Target
from rco.testing.alone import Kill, Node
from rco.testing.answers import Answers, Script
from rco.testing.failures import NotDeterministic
from rco.testing.histories import export_tables
from rco.testing.loop import Actor, VirtualLoop
from rco.testing.run import Run
from rco.testing.seen import Emitted
from rco.testing.stub_targets import Called, Ledger
from rco.workflow import Workflow
from rco.workflow.application import Application
from rco.workflow.calls import Caller
from rco.workflow.conversion import plain

__all__ = ["Environment"]


class Environment:
    """A world of its own with one node. Use it as a context manager, or ``close`` it.

    ``workflows`` are all that there are: those you start, and those they open as children or that events start by
    ``on=``. ``calls``: what ``ctx.call`` is answered, by ``"METHOD target path"`` (the path may hold ``*`` and end in
    ``/**``) or by a function of the request: a body, a ``reply(...)``, a fault (``no_answer(done=True)``), an
    exception, or a list of these, one for each attempt (the last stays); or a ``Caller`` of your own. ``steps``: by the
    name of a step, what stands in for its function: a value, an exception, a function of its arguments, or a list of
    these. ``targets``: the declared ones, under whose rules calls then are; without any, all are allowed. ``replay``:
    whether runs are replayed from their journals at every record. ``seed`` draws identities and the jitter of retries:
    the same seed is the same world.
    """

    def __init__(
        self,
        *workflows: Workflow[Any, Any],
        calls: Answers | Caller | None = None,
        steps: Mapping[str, Any] | None = None,
        targets: Iterable[Target] = (),
        replay: bool = True,
        seed: int = 0,
    ) -> None:
        for one in workflows:
            if not isinstance(one, Workflow):
                raise Misuse(f"{one!r} is not a workflow.", cure="Give functions that are decorated with @workflow.")
        if not workflows:
            raise Misuse("an environment without workflows.", cure="Environment(my_workflow, ...).")
        names = [one.name for one in workflows]
        for name in names:
            if names.count(name) > 1:
                raise Misuse(f"two workflows are named {name!r}.", cure="Give each once, or another name.")
        self._workflows = {one.name: one for one in workflows}
        self._loop = VirtualLoop(Random(seed).random)  # type: ignore[abstract]  # noqa: S311 - not for secrets
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._findings: list[NotDeterministic] = []
        own = None if calls is None or callable(calls) or isinstance(calls, Mapping) else calls
        self._ledger = Ledger(Script(calls if own is None and calls is not None else {}))  # type: ignore[arg-type]
        self._steps = Script(steps, "steps") if steps is not None else None
        self.node = Node(
            self._loop,
            Application("test", ".", list(workflows)),
            self._ledger,
            steps=self._steps,
            targets=targets,
            forced=replay,
            seed=seed,
            found=self._found,
            caller=own,
        )
        self._closed = False
        # One that nobody closes is closed with the last word of it.
        finalize(self, self._loop.close)
        self.node.begin()
        self.advance()

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.close()

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Seconds since the world began."""
        return self._loop.world.now_s

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return datetime.fromtimestamp(self.node.actor.clock.now_us() / MICROS, UTC)

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Let time pass, and everything happen that falls due meanwhile, in its order. Without arguments: let happen
        what can happen now."""
        total_s = seconds + 60 * minutes + 3600 * hours + 86400 * days
        if not 0 <= total_s < 100 * 366 * 86400:
            raise Misuse(f"advance by {total_s:g} s.", cure="Time goes forward, by less than a hundred years.")
        self._open()
        self._loop.run_until(self._troubled, self.now_s + total_s)
        self._check()

    def advance_to(self, at_s: float) -> None:
        """Let time pass until it is ``at_s`` seconds since the world began; nothing when that is past."""
        self.advance(max(0.0, at_s - self.now_s))

    def advance_until(self, condition: Callable[[], bool], within_s: float = 366 * 86400.0) -> None:
        """Skip time until ``condition()`` holds. Raises ``TimeoutError`` when it does not within ``within_s``."""
        self._open()
        self._loop.run_until(lambda: condition() or self._troubled(), self.now_s + within_s)
        self._check()
        if not condition():
            waiting = "; ".join(f"{run.workflow} is {run.state}, {run.waits()}" for run in self.runs if run.open)
            raise TimeoutError(f"It is not so after {within_s:g} s. {waiting or 'No run is open.'}")

    # -- what a test does ------------------------------------------------------------------------------------------

    def start(self, workflow: Workflow[Any, Any] | str, input: Any = None, *, key: str | None = None) -> Run:
        """Start a run and let happen what can happen at once. With a ``key`` that was used before: that run."""
        name = workflow if isinstance(workflow, str) else workflow.name
        known = self._workflows.get(name)
        if known is None or (not isinstance(workflow, str) and known is not workflow):
            raise Misuse(
                f"workflow {name!r} is not of this environment.",
                cure=f"Environment({name}, ...); it has: {', '.join(self._workflows)}.",
            )
        ask = StartAsk(workflow=name, input=plain(input), key=key, actor="test")
        before = {run.run_id for run in self.runs}

        async def open(engine: Engine) -> Started:
            for run in self.runs if key is None else ():
                if run.run_id not in before and run.workflow == name and run.parent is None:
                    # The node died between opening it and saying so; without a key, asking again would open another.
                    return Started(run.run_id, True)
            return await engine.start_run(ask)

        started = self.do(open)
        self.advance()
        return Run(self, started.run_id)

    def event(
        self, type: str, data: Any = None, *, subject: str | None = None, source: str = "/test", id: str | None = None
    ) -> list[Run]:
        """Accept an event: the runs that it starts are given back, those that wait for it go on. The same ``id`` and
        ``source`` a second time change nothing."""
        now_us = self.node.actor.clock.now_us()
        event = Event(
            id=id or self.draw(),
            source=source,
            type=type,
            subject=subject,
            data=canonical_json(plain(data)),
            time_us=now_us,
            received_us=now_us,
            corr_id="test",
        )
        begun: list[bytes] = self.do(partial(self.node.accept, event))
        self.advance()
        return [Run(self, run_id) for run_id in begun]

    def schedule(self, name: str, spec: ScheduleSpec) -> None:
        """Have ``spec.workflow`` started by the clock from now on. See ``runs`` for what it started."""
        if spec.workflow not in self._workflows:
            raise Misuse(f"schedule {name!r} starts {spec.workflow!r}, which is not here.", cure="Give it too.")
        self.do(lambda _: self.node.schedule(name, spec))
        self.advance()

    # -- deaths ----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """kill -9: all that is not durable is lost, attempts under way among it. Nothing happens until ``recover``."""
        self.engine()
        self.node.die()

    def recover(self) -> None:
        """Start the node again: every open run goes on from its journal."""
        self._open()
        if self.node.engine is not None:
            raise Misuse("the node is up.", cure="kill() it first, or restart().")
        self.node.begin()
        self.advance()

    def restart(self) -> None:
        """``kill`` and ``recover``."""
        self.kill()
        self.recover()

    # -- what a test sees ------------------------------------------------------------------------------------------

    @property
    def calls(self) -> list[Called]:
        """Every attempt of a governed call that left, in order."""
        return list(self._ledger.called)

    @property
    def emitted(self) -> list[Emitted]:
        """Every event that a run emitted, in order."""
        return [Emitted.of(event) for event in self.node.database.tables.events if event.origin.startswith("run:")]

    @property
    def runs(self) -> list[Run]:
        """Every run there is or was, in the order of their opening."""
        tables = self.node.database.tables
        rows = sorted((*tables.runs.values(), *tables.closed.values()), key=lambda row: (row.opened_us, row.run_id))
        return [Run(self, row.run_id) for row in rows]

    @property
    def unused(self) -> list[str]:
        """Answers that nobody asked for."""
        return [*self._ledger.script.unused, *(self._steps.unused if self._steps is not None else [])]

    @property
    def replays(self) -> int:
        """How often runs were replayed, since the node was last started."""
        return self.node.forcing.replays

    def history(self) -> bytes:
        """Everything that the runs recorded, as ``rco export --payloads`` writes it."""
        return export_tables(self.node.database.tables, self.node.actor.clock.now_us())

    def record(self, path: Path | str) -> None:
        """Write ``history`` to a file, for ``check_history`` and ``rco replay``."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(self.history())

    # -- inside ----------------------------------------------------------------------------------------------------

    def do(self, work: Callable[[Engine], Coroutine[Any, Any, Any]]) -> Any:
        """Do ``work`` on the node, in the time that it takes. When the node dies meanwhile it is asked again of the one
        that comes back, as a client would: what is asked must be the same request the second time."""
        again = False
        while True:
            engine, actor = self.engine(), self.node.actor
            task = self._loop.spawn(actor, work(engine))
            self._loop.run_until(partial(_over, task, actor, self._troubled), self.now_s + 60.0)
            self._check()
            if task.done():
                break
            self._loop.run_until(lambda: self.node.engine is not None, self.now_s + 60.0)
            again = True
        try:
            return task.result()
        except (NotFound, Conflict) as problem:
            if again and isinstance(problem, NotFound):
                # The first asking came through, and what it was about is over.
                return None
            raise Misuse(problem.message, cure=problem.cure) from None

    def _open(self) -> None:
        if self._closed:
            raise Misuse("the environment is closed.", cure="Use it inside of its with block.")

    def draw(self) -> str:
        """A new identity for a message, from the seed."""
        return self._random.randbytes(8).hex()

    def engine(self) -> Engine:
        """The node's engine. Raises ``Misuse`` while it is down."""
        self._open()
        if self.node.engine is None:
            raise Misuse("the node is down.", cure="recover() it first.")
        return self.node.engine

    def _found(self, workflow: str, seq: int, why: str, diff: Any) -> None:
        self._findings.append(NotDeterministic(workflow, seq, why, diff))

    def _troubled(self) -> bool:
        return bool(self._findings or self._ledger.unknown or self.node.blocked or self._loop.problems)

    def _check(self) -> None:
        """Raise what would be a mistake of the test or of the code under test."""
        if self._ledger.unknown:
            raise self._ledger.unknown[0]
        if self._findings:
            raise self._findings[0]
        for run_id, detail in self.node.blocked:
            known = self.node.history(run_id)
            assert known is not None
            row, records = known
            if detail.get("cause") == "code changed":
                raise NotDeterministic(row.workflow, len(records), detail.get("message", ""), detail.get("diff"))
            raise Misuse(f"{row.workflow} is blocked ({detail.get('cause')}): {detail.get('message')}")
        for context in self._loop.problems:
            problem = context.get("exception")
            raise RuntimeError(f"{context.get('message')} {problem!r}") from problem

    def kill_at(self, number: int, *, durable: bool) -> None:
        """Kill the node at its ``number``-th transaction from the beginning and start it again: before that is durable,
        or when it is and nobody has heard of it."""
        self.node.kill_at = Kill(number, durable=durable)

    @property
    def commits(self) -> int:
        """Transactions so far."""
        return self.node.commits


def _over(task: asyncio.Task[Any], actor: Actor, troubled: Callable[[], bool]) -> bool:
    """Whether nothing more is to be waited for."""
    return task.done() or actor.dead or troubled()
