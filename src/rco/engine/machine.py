"""The machine of one run: pure. Records in, operations out; no clock, no socket, no store.

Workflow code is driven by hand, not by an event loop: the machine sends a value into a coroutine and gets back the
operation that it awaits next. So it knows exactly when the code has come to rest, the order of records is the order of
everything, and live and replay are the same function, ``apply``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from rco.engine.operation import Fork, Mark, Operation
from rco.errors import Cancelled, CodeChanged, Evicted, Misuse
from rco.kit.places import place_of
from rco.model.journal import Kind, Record
from rco.model.run import Outcome

__all__ = ["Fiber", "Machine", "running"]

Code = Coroutine[Any, Any, Any]
_RESOLVING = frozenset(
    (Kind.STEP_END, Kind.TIMER_FIRED, Kind.MESSAGE, Kind.EMIT, Kind.STATE, Kind.COMPENSATE, Kind.PATCH, Kind.ATTRIBUTE)
)
_KEYLESS = frozenset(
    (Kind.START, Kind.OWNER, Kind.CANCEL, Kind.CLOSE, Kind.PAUSE, Kind.RESUME, Kind.BEGIN, Kind.VERSION)
)
ASKS_PER_RECORD = 10_000
"""How many operations code may ask for before it comes to rest: more is a loop that never waits."""

_running: Machine | None = None


def running() -> Machine | None:
    """The machine whose workflow code is on the stack right now, for guards against what cannot be replayed."""
    return _running


class Fiber:
    """One branch of a workflow: its coroutine, its scope of keys, and the operation it waits for."""

    __slots__ = ("asked_to_stop", "code", "counts", "ended", "fork", "index", "scope", "waiting")

    def __init__(self, code: Code, scope: str, fork: Fork | None = None, index: int = 0) -> None:
        self.code = code
        self.scope = scope
        self.fork = fork
        self.index = index
        self.counts: dict[str, int] = {}
        self.waiting: Operation[Any] | None = None
        self.asked_to_stop = False
        self.ended = False

    def key(self, name: str) -> str:
        """The next step key for ``name``: the scope's path, the name, and which time it is asked for in this scope."""
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{self.scope}{name}#{count}" if count else f"{self.scope}{name}"


class _NoLoop:
    """Stands in for the event loop while workflow code runs, so that whatever wants one is told what to do instead."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Misuse(
            f"workflow code used the event loop ({name}), which cannot be replayed.",
            cure="Use ctx.gather, ctx.race, ctx.map, ctx.sleep or ctx.wait_for; put I/O into a step: "
            "await ctx.step(fn, ...).",
        )

    # asyncio compares and prints loops; that must not raise.
    def __repr__(self) -> str:
        return "<no event loop in workflow code>"


_NO_LOOP: Any = _NoLoop()


class Machine:
    """Drives one run's code by its records.

    ``armed`` are operations that became pending since the owner last looked, ``dropped`` those that nobody waits for
    any more. ``verdict`` is set when the run is over, ``blocked`` when its code cannot go on as it is.
    """

    __slots__ = (
        "_ready",
        "armed",
        "asks",
        "attributes",
        "blocked",
        "cancelled",
        "dropped",
        "evicted",
        "fiber",
        "main",
        "now_us",
        "patches",
        "pending",
        "run_id",
        "undo",
        "unwinding",
        "verdict",
    )

    def __init__(self, run_id: bytes) -> None:
        self.run_id = run_id
        self.pending: dict[str, Operation[Any]] = {}
        self.armed: deque[Operation[Any]] = deque()
        self.dropped: list[Operation[Any]] = []
        self.undo: list[tuple[str, Callable[[], Code]]] = []
        self.main: Fiber | None = None
        self.fiber: Fiber | None = None
        """The branch whose code runs, or ran last."""
        self.now_us = 0
        self.attributes: set[str] | None = None
        """Names of attributes that it has said, when there are any."""
        self.patches: dict[str, bool] = {}
        """By name, which way the run goes where its code has changed."""
        self.verdict: tuple[Outcome, Any] | None = None
        self.blocked: Misuse | None = None
        self.cancelled = False
        self.evicted = False
        self.unwinding: tuple[Outcome, Any] | None = None
        self.asks = 0
        self._ready: deque[tuple[Fiber, Any, BaseException | None]] = deque()

    # -- records ---------------------------------------------------------------------------------------------------

    def begin(self, code: Callable[[Machine], Code], at_us: int) -> None:
        """Run the code to its first awaits. ``at_us`` is the time of the START record."""
        self.now_us = at_us
        self.asks = 0
        self.main = Fiber(code(self), "")
        self._ready.append((self.main, None, None))
        self._run()

    def apply(self, record: Record) -> None:
        """Take in one record: live right after it was written, in replay in the same order.

        Raises ``CodeChanged`` when the code does not ask for what was recorded.
        """
        before_us, self.now_us = self.now_us, record.at_us
        kind = record.kind
        if kind in _KEYLESS:
            if kind == Kind.CANCEL:
                self.decline_all(before_us)
                self._cancel_all()
            return
        op = self.pending.get(record.key)
        if op is None or op.fp != record.fp:
            if self._decline(before_us):
                self.apply(record)
                return
            raise self._changed(record, op)
        if kind in _RESOLVING:
            del self.pending[record.key]
            fiber: Fiber = op.fiber
            fiber.waiting = None
            value, error = op.resolve(record)
            self._ready.append((fiber, value, error))
            self.asks = 0
            self._run()
        else:
            op.note(record)

    def _decline(self, at_us: int) -> bool:
        """Resolve what the journal goes on without to ``False``, at the time of the record before: the run had passed
        it in older code. Whether there was such a thing. Live there never is: it resolves as it is armed."""
        for op in self.pending.values():
            if op.declinable:
                del self.pending[op.key]
                fiber: Fiber = op.fiber
                fiber.waiting = None
                self.now_us = at_us
                self._ready.append((fiber, False, None))
                self.asks = 0
                self._run()
                return True
        return False

    def decline_all(self, at_us: int | None = None) -> None:
        """Resolve everything to ``False`` that the journal went on, or ended, without."""
        now_us = self.now_us
        while self._decline(now_us if at_us is None else at_us):
            pass
        self.now_us = now_us

    def _changed(self, record: Record, op: Operation[Any] | None) -> CodeChanged:
        recorded = {"kind": Kind(record.kind).name, "key": record.key, "fingerprint": record.fp.hex()}
        if op is None:
            asks: Any = [{"key": key, "asks": other.describe()} for key, other in list(self.pending.items())[:20]]
            text = f"the journal has {recorded['kind']} for step {record.key!r}, which the code does not ask for now."
        else:
            asks = [{"key": op.key, "asks": op.describe(), "fingerprint": op.fp.hex()}]
            text = f"step {record.key!r} is asked for with other arguments than those recorded."
        return CodeChanged(text, diff={"recorded": recorded, "code": asks})

    # -- driving ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        global _running  # noqa: PLW0603 - one interpreter runs one piece of workflow code at a time
        ready = self._ready
        outer, _running = _running, self
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(_NO_LOOP)
        try:
            while ready:
                fiber, value, error = ready.popleft()
                self.fiber = fiber
                try:
                    op = fiber.code.send(value) if error is None else fiber.code.throw(error)
                except StopIteration as stop:
                    self._ended(fiber, stop.value, None)
                except (Evicted, KeyboardInterrupt):
                    raise
                except BaseException as problem:  # noqa: BLE001 - SystemExit in a workflow must not end the service
                    self._ended(fiber, None, problem)
                else:
                    self._asked(fiber, op)
        finally:
            asyncio._set_running_loop(loop)
            _running = outer

    def _asked(self, fiber: Fiber, op: Any) -> None:
        if fiber.asked_to_stop:
            fiber.asked_to_stop = False
            self._ready.append((fiber, None, Cancelled()))
            return
        self.asks += 1
        if not isinstance(op, Operation):
            if hasattr(op, "_asyncio_future_blocking"):
                op._asyncio_future_blocking = False
            problem = Misuse(
                f"workflow code awaited {type(op).__name__ if op is not None else 'a bare yield'}, which cannot be "
                "replayed.",
                cure="Await only what ctx gives; put I/O into a step: await ctx.step(fn, ...).",
            )
            self._ready.append((fiber, None, problem))
        elif self.asks > ASKS_PER_RECORD:
            problem = Misuse(
                f"workflow code asked for more than {ASKS_PER_RECORD} things without coming to rest.",
                cure="Let the loop wait for something, or do its work inside one step.",
            )
            self._ready.append((fiber, None, problem))
        elif type(op) is Fork:
            self._fork(fiber, op)
        elif op.key in self.pending or op.fiber is not None:
            problem = Misuse(
                f"step {op.key!r} is awaited twice.", cure="Ask ctx for a new operation each time, or give it a name."
            )
            self._ready.append((fiber, None, problem))
        else:
            op.fiber = fiber
            fiber.waiting = op
            self.pending[op.key] = op
            self.armed.append(op)

    def _ended(self, fiber: Fiber, value: Any, error: BaseException | None) -> None:
        fiber.ended = True
        fork = fiber.fork
        if fork is None:
            self._finished(value, error)
            return
        fork.remaining -= 1
        if error is None:
            fork.results[fiber.index] = value
            if fork.first and not fork.closing:
                fork.winner = fiber.index
                self._close_fork(fork)
        elif not fork.closing:
            fork.failed = error
            self._close_fork(fork)
        elif isinstance(error, Misuse) and not isinstance(fork.failed, Misuse):
            fork.failed = error
        if not fork.closing:
            self._start_branches(fork)
        if fork.remaining == 0:
            self._join(fork)

    def _join(self, fork: Fork) -> None:
        parent: Fiber = fork.fiber
        parent.waiting = None
        # Branches know their fork and what they waited for knows them: let go of, the ring is none.
        fork.fibers, fork.branches = [], ()
        if fork.failed is not None:
            self._ready.append((parent, None, fork.failed))
        elif fork.first:
            winner = fork.winner if fork.winner is not None else 0
            self._ready.append((parent, (winner, fork.results[winner]), None))
        else:
            self._ready.append((parent, fork.results, None))

    def _fork(self, fiber: Fiber, fork: Fork) -> None:
        fork.fiber = fiber
        fiber.waiting = fork
        if fork.remaining == 0:
            self._join(fork)
        else:
            self._start_branches(fork)

    def _start_branches(self, fork: Fork) -> None:
        limit = fork.limit or len(fork.branches)
        while fork.started < len(fork.branches) and fork.started - (len(fork.branches) - fork.remaining) < limit:
            index = fork.started
            fork.started += 1
            branch = Fiber(fork.branches[index](), f"{fork.key}/{index}/", fork, index)
            fork.fibers.append(branch)
            self._ready.append((branch, None, None))

    def _close_fork(self, fork: Fork) -> None:
        fork.closing = True
        # Branches that never began count as ended.
        fork.remaining -= len(fork.branches) - fork.started
        for branch in fork.fibers:
            self._stop(branch)

    def _stop(self, fiber: Fiber) -> None:
        if fiber.ended:
            return
        waiting = fiber.waiting
        if waiting is None:
            fiber.asked_to_stop = True
        elif type(waiting) is Fork:
            waiting.failed = waiting.failed or Cancelled()
            if waiting.closing:
                return
            self._close_fork(waiting)
            if waiting.remaining == 0:
                self._join(waiting)
        else:
            del self.pending[waiting.key]
            self.dropped.append(waiting)
            fiber.waiting = None
            self._ready.append((fiber, None, Cancelled()))

    # -- ending ----------------------------------------------------------------------------------------------------

    def _cancel_all(self) -> None:
        """Cancel what runs. Compensations are shielded: once they began, a cancel changes nothing."""
        if self.cancelled or self.unwinding is not None or self.verdict is not None:
            return
        self.cancelled = True
        self.asks = 0
        if self.main is not None:
            self._stop(self.main)
        self._run()

    def _finished(self, value: Any, error: BaseException | None) -> None:
        if self.unwinding is not None:
            outcome, cause = self.unwinding
            if error is not None:
                self.blocked = error if isinstance(error, Misuse) else None
            self.verdict = None if self.blocked else (outcome, {**cause, "compensation": value})
        elif error is None:
            self.verdict = (Outcome.COMPLETED, value)
        elif isinstance(error, Misuse):
            self.blocked = error
        else:
            stopped = isinstance(error, Cancelled)
            outcome = Outcome.CANCELLED if stopped else Outcome.FAILED
            cause = {"kind": type(error).__name__, "message": str(error) or type(error).__name__, "code": _code(error)}
            if isinstance(error, Cancelled):
                cause["message"] = "cancelled"
            elif where := place_of(error):
                cause["where"] = where
            if not self.undo:
                self.verdict = (outcome, cause)
                return
            self.unwinding = (outcome, cause)
            self._ready.append((Fiber(self._unwind(cause), "undo/"), None, None))

    async def _unwind(self, cause: dict[str, Any]) -> list[dict[str, Any]]:
        """Run the compensations, last registered first; one that fails does not keep the others from running."""
        told: list[dict[str, Any]] = []
        await Mark("undo/begin", b"", Kind.COMPENSATE, {"cause": cause["message"], "steps": len(self.undo)})
        for index, (name, code) in enumerate(reversed(self.undo)):
            fiber = self.fiber
            assert fiber is not None
            fiber.scope, fiber.counts = f"undo/{index}/", {}
            try:
                await code()
            except Misuse:
                raise
            except Exception as problem:  # noqa: BLE001 - kept and reported with the outcome
                told.append({"name": name, "ok": False, "message": str(problem)})
            else:
                told.append({"name": name, "ok": True})
        return told

    def evict(self) -> None:
        """Drop the code out of memory. Its ``finally`` blocks run, as they would never after a crash; they may not
        await: every operation raises ``Evicted`` from now on."""
        self.evicted = True
        fibers: dict[int, Fiber] = {}
        for op in self.pending.values():
            fiber = op.fiber
            while fiber is not None and id(fiber) not in fibers:
                fibers[id(fiber)] = fiber
                fiber = fiber.fork.fiber if fiber.fork is not None else None
        self.pending.clear()
        self.armed.clear()
        for fiber in fibers.values():
            _throw_out(fiber.code)
            if fiber.fork is not None:
                fiber.fork.fibers, fiber.fork.branches = [], ()
            fiber.waiting = fiber.fork = None


def _throw_out(code: Code) -> None:
    for _ in range(3):
        try:
            code.throw(Evicted())
        except BaseException:  # noqa: BLE001 - whatever leaves the code now has nowhere to go
            return
    try:
        code.close()
    except RuntimeError:
        return


def _code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else "error"
