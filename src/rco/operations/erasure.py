"""What a node does when it hears that a namespace's keys were erased: nothing of it stays in memory or goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.encryption.keys import Keys
from rco.engine.engine import Engine
from rco.errors import PayloadErased, RcoError
from rco.model.decision import Decision, Verb
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.writer import Writer

__all__ = ["Erasure"]

_AGAIN_S = 0.5


class Erasure:
    """Blocks the open runs of an erased namespace and forgets its schedules. A ``Lives``."""

    def __init__(
        self,
        keys: Keys,
        engine: Engine,
        scheduler: Scheduler,
        writer: Writer,
        *,
        now_us: Callable[[], int],
        trouble: Callable[[BaseException], None],
    ) -> None:
        self._keys, self._engine, self._scheduler, self._writer = keys, engine, scheduler, writer
        self._now_us, self._trouble = now_us, trouble
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Hear from now on; what was erased before is seen to now. Call it when the engine goes."""
        self._keys.erased.append(self._hear)
        for namespace, why in self._keys.shut().items():
            if isinstance(why, PayloadErased):
                self._hear(namespace, why)

    async def stop(self) -> None:
        """May be called before ``start`` and twice."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _hear(self, namespace: str, why: PayloadErased) -> None:
        self._scheduler.forget_all(namespace)
        task = asyncio.create_task(self._set_aside(namespace, why), name="rco-erasure")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set_aside(self, namespace: str, why: PayloadErased) -> None:
        detail = {"cause": why.code, "message": str(why)}
        while True:
            try:
                count = await self._engine.set_aside(namespace, detail)
            except RcoError as problem:
                # Shards come and go, and the store may be away: nothing of it can be read meanwhile.
                self._trouble(problem)
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        if count:
            self._writer.note(
                Decision(
                    verb=Verb.KEY,
                    at_us=self._now_us(),
                    actor="node",
                    subject=namespace,
                    reason="erased",
                    facts={"did": "set_aside", "runs": count},
                )
            )
