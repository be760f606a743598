"""A run of an environment, as a test sees and steers it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from rco.engine.engine import Engine
from rco.engine.operation import Effect, Timer, Wait
from rco.engine.rehearsing import rehearse
from rco.engine.replaying import replay
from rco.errors import CodeChanged, Misuse
from rco.kit.clock import MICROS
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record
from rco.model.run import Mode, Outcome, RunRow
from rco.operations.view import state_of
from rco.testing.alone import Node
from rco.testing.failures import NotDeterministic
from rco.testing.seen import Emitted, Ended, Pending
from rco.testing.stub_targets import Called
from rco.workflow.conversion import plain

__all__ = ["Run"]

YEAR_S = 366 * 86400.0


class Surroundings(Protocol):
    """What a run asks of the environment that it is in."""

    @property
    def node(self) -> Node: ...

    @property
    def calls(self) -> list[Called]: ...

    @property
    def emitted(self) -> list[Emitted]: ...

    @property
    def runs(self) -> list[Run]: ...

    def do(self, work: Callable[[Engine], Coroutine[Any, Any, Any]]) -> Any: ...

    def advance(self) -> None: ...

    def advance_until(self, condition: Callable[[], bool], within_s: float) -> None: ...

    def draw(self) -> str: ...

    def history(self) -> bytes: ...


class Run:
    """One run. Two of the same run are equal."""

    def __init__(self, environment: Surroundings, run_id: bytes) -> None:
        self.environment, self.run_id = environment, run_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.run_id == self.run_id

    def __hash__(self) -> int:
        return hash(self.run_id)

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.workflow}: {self.state}>"

    # -- looking ---------------------------------------------------------------------------------------------------

    def _known(self) -> tuple[RunRow, list[Record]]:
        known = self.environment.node.history(self.run_id)
        if known is None:
            raise Misuse(f"no run {self.id}.", cure="Use runs of this very environment.")
        return known

    @property
    def id(self) -> str:
        """The identity, as ``ctx.run_id`` and the API show it."""
        return id_text(self.run_id)

    @property
    def workflow(self) -> str:
        return self._known()[0].workflow

    @property
    def state(self) -> str:
        """``running``, ``waiting``, ``paused``, ``in_doubt``, ``completed``, ``failed``, ``cancelled``..."""
        row = self._known()[0]
        return "waiting" if row.mode is Mode.HOT and row.outcome is None and self.pending else state_of(row)

    @property
    def open(self) -> bool:
        """Whether it has not closed yet."""
        return self.run_id not in self.environment.node.database.tables.closed

    @property
    def journal(self) -> list[tuple[str, str]]:
        """(kind, step key) of each record that is durable, in order."""
        return [(Kind(record.kind).name, record.key) for record in self._known()[1]]

    @property
    def states(self) -> dict[str, Any]:
        """What it published with ``ctx.state``, the last value of each name."""
        return {record.body[0]: record.body[1] for record in self._known()[1] if record.kind == Kind.STATE}

    @property
    def parent(self) -> bytes | None:
        """The identity of the run that opened it as a child."""
        return self._known()[0].parent

    @property
    def children(self) -> list[Run]:
        """The runs that it opened as children, in order."""
        return [one for one in self.environment.runs if one.parent == self.run_id]

    @property
    def pending(self) -> list[Pending]:
        """What it waits for, by its journal; of a closed run nothing."""
        row, records = self._known()
        if row.outcome is not None:
            return []
        try:
            machine = replay(self.environment.node.programs, row, records).machine
        except CodeChanged as changed:
            raise NotDeterministic(row.workflow, len(records), changed.message, changed.diff) from None
        now_us = self.environment.node.actor.clock.now_us()
        found: list[Pending] = []
        for op in machine.pending.values():
            due_us = op.due_us if isinstance(op, (Timer, Wait, Effect)) else None
            found.append(
                Pending(
                    op.key,
                    op.describe(),
                    max(0.0, (due_us - now_us) / MICROS) if due_us else None,
                    isinstance(op, Effect) and (op.doubt or op.intent),
                )
            )
        machine.evict()
        return found

    def waits(self) -> str:
        """What it waits for, as a phrase."""
        told = ", ".join(f"{one.what} ({one.key})" for one in self.pending)
        return f"waits for {told}" if told else f"its last record is {' '.join(self.journal[-1])}"

    # -- steering --------------------------------------------------------------------------------------------------

    def _decided(self, verb: Verb) -> Decision:
        return Decision(verb=verb, at_us=self.environment.node.actor.clock.now_us(), actor="test")

    def signal(self, name: str, value: Any = None, *, message_id: str | None = None) -> None:
        """Send a signal. The same ``message_id`` a second time changes nothing. ``Misuse`` when the run has closed."""
        number, decision = message_id or self.environment.draw(), self._decided(Verb.SIGNAL)
        self._do(lambda engine: engine.signal(self.run_id, name, plain(value), number, decision))

    def cancel(self, reason: str = "cancelled by the test") -> None:
        """Ask it to stop; its compensations run."""
        decision = self._decided(Verb.CANCEL)
        self._do(lambda engine: engine.cancel(self.run_id, reason, "test", decision))

    def pause(self) -> None:
        """Set it aside: it begins nothing until ``resume``."""
        number, decision = self.environment.draw(), self._decided(Verb.PAUSE)
        self._do(lambda engine: engine.pause(self.run_id, "", "test", decision, number))

    def resume(self) -> None:
        """Let it go on."""
        number, decision = self.environment.draw(), self._decided(Verb.RESUME)
        self._do(lambda engine: engine.resume(self.run_id, "", "test", decision, number))

    def _do(self, work: Callable[[Engine], Coroutine[Any, Any, Any]]) -> None:
        self.environment.do(work)
        self.environment.advance()

    def settle(self, verdict: str, value: Any = None, *, step: str | None = None) -> None:
        """Say what became of the call in doubt: ``done`` with ``value``, ``failed``, or ``again``."""
        doubts = [one.key for one in self.pending if one.in_doubt and step in (None, one.key)]
        if verdict not in ("done", "failed", "again"):
            raise Misuse(f"verdict {verdict!r}.", cure="Say done, failed or again.")
        if len(doubts) != 1:
            raise Misuse(f"{len(doubts)} steps are in doubt.", cure=f"Name one with step=; there are: {doubts}.")
        decision, told = self._decided(Verb.SETTLE), plain(value)
        self._do(lambda engine: engine.settle(self.run_id, doubts[0], verdict, told, "", "test", decision))

    # -- ending ----------------------------------------------------------------------------------------------------

    def ended(self, within_s: float = YEAR_S) -> Ended:
        """Skip time until it has closed. Raises ``TimeoutError`` with what it waits for when it has not by then."""
        environment = self.environment
        tables = environment.node.database.tables
        if self.run_id not in tables.closed:
            try:
                environment.advance_until(lambda: self.run_id in tables.closed, within_s)
            except TimeoutError:
                row, records = self._known()
                last = f"{Kind(records[-1].kind).name} {records[-1].key}".strip()
                why = f" It says: {row.detail.decode()}" if row.detail else ""
                waits = f"it {self.waits()}; its last record is {last}.{why}"
                raise TimeoutError(f"The run is {state_of(row)} after {within_s:g} s; {waits}") from None
        row, records = self._known()
        fit = rehearse(environment.node.programs, row, records)
        if not fit.fits:
            raise NotDeterministic(row.workflow, len(records) - 1, fit.why, fit.diff)
        outcome, value = records[-1].body
        return Ended(
            outcome=Outcome(outcome).value,
            value=value,
            took_s=(row.closed_us - row.opened_us) / 1e6 if row.closed_us is not None else 0.0,
            calls=environment.calls,
            journal=self.journal,
            workflow=row.workflow,
            emitted=environment.emitted,
            history=environment.history(),
        )

    def result(self, within_s: float = YEAR_S) -> Any:
        """Skip time until it has completed, and give its result. Raises ``RunNotCompleted`` when it ends otherwise."""
        return self.ended(within_s).result()

    def __await__(self) -> Generator[Any, Any, Any]:
        """``await run`` is ``run.result()``."""
        yield from ()
        return self.result()
