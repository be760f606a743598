"""An event loop of our own: virtual time, several actors, and a seeded choice of who runs next.

An *actor* is what would be a process of its own: a node, the database, a client. Within one actor callbacks run in the
order in which they were asked for, as ``asyncio`` promises. Between actors the order is drawn from a random generator.
Time stands still while anything is ready and then moves to the next timer, so an hour of sleeping takes no time.

Which actor a callback belongs to is kept in its context, so that tasks, futures and timers stay with who made them. A
*dead* actor's callbacks are forgotten, as those of a killed process are; a *frozen* one's wait until it is thawed.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, copy_context
from typing import Any, NoReturn, TypeVar

from rco.testing.clocks import DriftingClock, WorldTime

__all__ = ["Actor", "Exhausted", "VirtualLoop"]

T = TypeVar("T")
_actor: contextvars.ContextVar[Actor] = contextvars.ContextVar("rco_actor")


class Exhausted(RuntimeError):
    """Nothing is ready and no timer is set, or the bound on callbacks is reached: what is awaited never comes."""


class Actor:
    """Somebody whose callbacks keep their order: one incarnation of a node, a database, a client."""

    __slots__ = ("clock", "context", "dead", "frozen", "fuse", "listed", "name", "on_fuse", "ready")

    def __init__(self, name: str, clock: DriftingClock) -> None:
        self.name, self.clock = name, clock
        self.ready: deque[asyncio.Handle] = deque()
        self.dead = self.frozen = self.listed = False
        self.fuse = 0
        self.on_fuse: Callable[[], object] = _nothing
        self.context: Context = copy_context()
        self.context.run(_actor.set, self)

    def __repr__(self) -> str:
        return f"<actor {self.name}>"


def _nothing() -> None:
    """No fuse burns."""


class _Handle(asyncio.Handle):
    """What asyncio's own does at its making, without asking the loop whether it is to be debugged."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: VirtualLoop, context: Context
    ) -> None:
        self._context, self._loop, self._callback, self._args = context, loop, callback, args
        self._cancelled = False
        self._repr = self._source_traceback = None


class _TimerHandle(asyncio.TimerHandle):
    """The same for a timer."""

    __slots__ = ()

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], loop: VirtualLoop, context: Context
    ) -> None:
        self._context, self._loop, self._callback, self._args = context, loop, callback, args
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None
        self._when = when


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs actors under virtual time. ``choose`` gives numbers in [0, 1); the same numbers give the same run.

    ``steps_limit`` bounds how many callbacks are run in all. Errors that nobody handles are kept in ``problems``.
    """

    def __init__(self, choose: Callable[[], float], *, steps_limit: int = 5_000_000) -> None:
        self.world = WorldTime()
        self._choose, self._steps_limit = choose, steps_limit
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Actor]] = []
        self._active: list[Actor] = []
        self._count = 0
        self._running = self._closed = False
        self.steps = 0
        self.problems: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task ever made here: none may vanish at a moment that the seed does not decide."""
        self.outside = self.actor("outside")
        """Whoever calls from outside of any actor."""

    # -- actors ----------------------------------------------------------------------------------------------------

    def actor(self, name: str, clock: DriftingClock | None = None) -> Actor:
        """A new actor, with a true clock when none is given."""
        return Actor(name, clock or DriftingClock(self.world))

    def current(self) -> Actor:
        """The actor whose callback runs, or ``outside``."""
        return _actor.get(self.outside)

    def post(self, actor: Actor, callback: Callable[..., object], *arguments: Any) -> None:
        """Have ``actor`` call ``callback`` soon: how a message from another actor arrives."""
        self._push(actor, _Handle(callback, arguments, self, actor.context.copy()))

    def post_later(self, actor: Actor, delay_s: float, callback: Callable[..., object], *arguments: Any) -> None:
        """The same, ``delay_s`` seconds of the world's time from now."""
        self._push_timer(self.world.now_s + delay_s, actor, callback, arguments, actor.context.copy())

    def spawn(self, actor: Actor, code: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``code`` as a task of ``actor``."""
        return actor.context.copy().run(self.create_task, code)

    def kill(self, actor: Actor) -> None:
        """Forget all that ``actor`` was about to do. It never runs again."""
        actor.dead = True
        for handle in actor.ready:
            for one in handle._args or ():  # none: it was cancelled
                if isinstance(one, asyncio.Future) and one.done() and not one.cancelled():
                    # Who waited for it was about to hear of it: an error that died with its listener is no finding.
                    one.exception()
        actor.ready.clear()

    def fuse(self, actor: Actor, callbacks: int, then: Callable[[], object]) -> None:
        """Call ``then`` after that many more callbacks of ``actor``, before its next one: right in the middle."""
        actor.fuse, actor.on_fuse = callbacks, then

    def freeze(self, actor: Actor) -> None:
        """Stop ``actor``; its callbacks and timers wait for ``thaw``."""
        actor.frozen = True

    def thaw(self, actor: Actor) -> None:
        actor.frozen = False
        self._list(actor)

    def _list(self, actor: Actor) -> None:
        if actor.ready and not (actor.listed or actor.frozen or actor.dead):
            actor.listed = True
            self._active.append(actor)

    def _push(self, actor: Actor, handle: asyncio.Handle) -> None:
        if not (actor.dead or self._closed):
            actor.ready.append(handle)
            if not (actor.listed or actor.frozen):
                actor.listed = True
                self._active.append(actor)

    def _push_timer(
        self, when: float, actor: Actor, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context
    ) -> asyncio.TimerHandle:
        handle = _TimerHandle(when, callback, arguments, self, context)
        if not (actor.dead or self._closed):
            self._count += 1
            heapq.heappush(self._timers, (when, self._count, handle, actor))
        return handle

    # -- running ---------------------------------------------------------------------------------------------------

    def run_until(self, done: Callable[[], bool], until_s: float | None = None) -> None:
        """Run until ``done()`` holds, asked after every callback, or until the world's time is ``until_s``.

        Raises ``Exhausted`` when nothing is left to wait for, or the bound on callbacks is reached.
        """
        if self._running:
            raise RuntimeError("this loop is already running")
        self._running = True
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            while not done():
                if not self._active and not self._advance(until_s):
                    return
                self._step()
        finally:
            asyncio._set_running_loop(outer)
            self._running = False

    def _step(self) -> None:
        active = self._active
        while True:
            if not active:
                return
            at = int(self._choose() * len(active)) if len(active) > 1 else 0
            actor = active[at]
            if actor.ready and not (actor.frozen or actor.dead):
                break
            self._unlist(at)
        handle = actor.ready.popleft()
        if not actor.ready:
            # As in ``_unlist``, which would cost a tenth of a step.
            actor.listed = False
            active[at] = active[-1]
            active.pop()
        if not handle._cancelled:
            self.steps += 1
            handle._run()
            if actor.fuse:
                actor.fuse -= 1
                if not actor.fuse:
                    actor.on_fuse()
            if self.steps > self._steps_limit:
                raise Exhausted(f"{self.steps} callbacks did not bring it to an end.")

    def _unlist(self, at: int) -> None:
        active = self._active
        active[at].listed = False
        active[at] = active[-1]
        active.pop()

    def _advance(self, until_s: float | None) -> bool:
        """Move time to the next timer and make all that are due ready. False when ``until_s`` comes first."""
        timers = self._timers
        while timers and (timers[0][2]._cancelled or timers[0][3].dead):
            heapq.heappop(timers)
        if not timers:
            if until_s is None:
                raise Exhausted("Nothing is ready and no timer is set: what is awaited never comes.")
            self.world.now_s = max(self.world.now_s, until_s)
            return False
        if until_s is not None and timers[0][0] > until_s:
            self.world.now_s = max(self.world.now_s, until_s)
            return False
        self.world.now_s = now = max(self.world.now_s, timers[0][0])
        while timers and timers[0][0] <= now:
            _, _, handle, actor = heapq.heappop(timers)
            if not handle._cancelled:
                self._push(actor, handle)
        return True

    def run_until_complete(self, future: Any) -> Any:
        """Run ``future`` (or a coroutine, as ``outside``) to its end and give its result."""
        task = self.spawn(self.outside, future) if asyncio.iscoroutine(future) else future
        self.run_until(task.done)
        return task.result()

    def close(self) -> None:
        """Forget everything. Code that is still under way is closed; it may not await any more."""
        self._closed = True
        self._timers.clear()
        self._active.clear()
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()
                except (RuntimeError, ValueError):
                    continue
        self.tasks.clear()

    # -- what asyncio asks of a loop ---------------------------------------------------------------------------------

    def time(self) -> float:
        """The current actor's monotonic clock."""
        return _actor.get(self.outside).clock.monotonic()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        if context is None:
            context = copy_context()
        handle = _Handle(callback, args, self, context)
        self._push(context.get(_actor, self.outside), handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if context is None:
            context = copy_context()
        actor = context.get(_actor, self.outside)
        return self._push_timer(actor.clock.world_s(when), actor, callback, args, context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Skipped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ARG002
        """Calls ``func`` in a later turn of the same actor; there are no threads."""
        future = self.create_future()

        def work() -> None:
            if future.done():
                return
            try:
                result = func(*args)
            except Exception as problem:  # noqa: BLE001 - it goes to who waits
                future.set_exception(problem)
            else:
                future.set_result(result)

        self.call_soon(work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Kept: an error that nobody handled is a finding."""
        if not self._closed:
            self.problems.append(context)

    def unheard(self) -> list[BaseException]:
        """Errors that tasks ended with and nobody asked about."""
        found: list[BaseException] = []
        for task in self.tasks:
            if task.done() and not task.cancelled() and task._log_traceback:
                problem = task.exception()
                if problem is not None:
                    found.append(problem)
        return found

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    async def shutdown_asyncgens(self) -> None:
        """Nothing is kept of them."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """There is none."""

    def run_forever(self) -> NoReturn:
        raise RuntimeError("a virtual loop is run with run_until or run_until_complete")

    def stop(self) -> NoReturn:
        raise RuntimeError("a virtual loop ends when what it runs until holds")


class InPlace(Executor):
    """An executor without threads: the loop runs what is handed to it as an event of its own."""
