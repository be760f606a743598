"""A verified move at work: a run of the service's own, so that it is durable, paused, resumed and cancelled as any.

It goes through the open runs that are pinned to the old version, from new to old, a page at a time; each is a step.
Every run is replayed on the new code without doing anything, and moved if it fits. A page that is begun again after a
crash finds those that it moved no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from rco.engine.moving import MoveAsk, Tried
from rco.engine.program import Program, StartBody
from rco.kit.ids import id_text
from rco.model.decision import Decision
from rco.model.effect import Answer
from rco.model.run import RunRow
from rco.model.version import pin
from rco.operations.desk import Desk
from rco.operations.paging import AT_A_TIME, Mandate, Pace, page_answer, page_size, paged_program
from rco.operations.view import state_of
from rco.store.contract.reader import RunFilter

__all__ = ["MOVE", "MoveAt", "MoveSpec", "Stayed", "move_program"]

MOVE = "rco.version-move"
STAYED_MAX = 1000
"""So many of those that stay are listed with why; all are counted."""
DIFFS_BYTES = 128 << 10
"""So much one step tells of differences; of the runs beyond it only why they stay."""
_pack = msgspec.json.Encoder().encode


class MoveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a move. Versions are names. ``before``: only runs that were there when it was asked for.
    ``preview``: every run is tried, and none is moved."""

    namespace: str
    start: str
    to: str
    workflow: str | None = None
    rate_per_s: float | None = None
    preview: bool = False
    before: bytes
    reason: str = ""


class Stayed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was not moved: ``misfit`` or ``busy``, why, and the difference between its journal and the code."""

    run_id: str
    workflow: str
    state: str
    status: str
    why: str
    diff: Any = None


class MoveAt(msgspec.Struct, frozen=True, kw_only=True):
    """How far a move is. ``fit``: moved, or in a preview those that would be; ``stayed``: those of this page."""

    count: int = 0
    fit: int = 0
    misfit: int = 0
    busy: int = 0
    gone: int = 0
    after: bytes = b""
    due_us: int = 0
    ended: str = ""
    stayed: list[Stayed] = []

    @property
    def tried(self) -> int:
        return self.fit + self.misfit + self.busy + self.gone


def move_program(desk: Callable[[], Desk]) -> Program:
    """The program behind every verified move. ``desk`` is asked at each page."""
    return paged_program(MOVE, ("count", "fit", "misfit", "busy", "gone", "ended"), partial(_Work, desk))


class _Work:
    """The steps of one move."""

    def __init__(self, desk: Callable[[], Desk], run_id: bytes, start: StartBody) -> None:
        self._desk, self._mandate = desk, Mandate.of(run_id, start)
        self._spec = msgspec.convert(start["input"], MoveSpec)

    async def begin(self, _: dict[str, Any]) -> Answer:
        """Count what there is to try, and write down that it begins."""
        desk, spec = self._desk(), self._spec
        await self._mandate.principal(desk, spec.namespace)
        count = await desk.reader.count_runs(self._where(spec.before, 0))
        at = MoveAt(count=count, after=spec.before)
        return page_answer(at, self._decision(desk, at, "began"))

    async def page(self, before: dict[str, Any]) -> Answer:
        """Try the runs of one page, and move those that fit."""
        desk, spec = self._desk(), self._spec
        await self._mandate.principal(desk, spec.namespace)
        at = msgspec.convert(before, MoveAt)
        size = page_size(spec.rate_per_s)
        rows = await desk.reader.runs(self._where(at.after, size))
        pace = Pace(desk, spec.rate_per_s, at.due_us)
        gate = asyncio.Semaphore(AT_A_TIME)
        tasks: list[asyncio.Task[Tried]] = []
        try:
            for row in rows:
                await pace.wait()
                await gate.acquire()
                task = asyncio.create_task(self._one(desk, row))
                task.add_done_callback(lambda _: gate.release())
                tasks.append(task)
            tried = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        counts = dict.fromkeys(("fit", "misfit", "busy", "gone"), 0)
        stayed: list[Stayed] = []
        room = STAYED_MAX - at.misfit - at.busy
        told_bytes = 0
        for row, one in zip(rows, tried, strict=True):
            counts[one.status if one.status in counts else "fit"] += 1
            if one.status in ("misfit", "busy") and len(stayed) < room:
                told_bytes += len(_pack(one.diff))
                stayed.append(
                    Stayed(
                        run_id=id_text(row.run_id),
                        workflow=row.workflow,
                        state=state_of(row),
                        status=one.status,
                        why=one.why[:1000],
                        diff=one.diff if told_bytes <= DIFFS_BYTES else None,
                    )
                )
        now = MoveAt(
            count=at.count,
            fit=at.fit + counts["fit"],
            misfit=at.misfit + counts["misfit"],
            busy=at.busy + counts["busy"],
            gone=at.gone + counts["gone"],
            after=rows[-1].run_id if rows else at.after,
            due_us=pace.due_us,
            ended="done" if len(rows) < size else "",
            stayed=stayed,
        )
        return page_answer(now, *([self._decision(desk, now, "done")] if now.ended else []))

    async def _one(self, desk: Desk, row: RunRow) -> Tried:
        to = pin(self._spec.to)
        if self._spec.preview:
            return await desk.engine.try_move(row, to)
        ask = MoveAsk(to=to, actor=self._mandate.actor, move=id_text(self._mandate.run_id))
        return await desk.engine.move(row, ask)

    def _where(self, after: bytes, limit: int) -> RunFilter:
        spec = self._spec
        return RunFilter(
            namespace=spec.namespace,
            workflow=spec.workflow,
            version=pin(spec.start),
            open_only=True,
            users_only=True,
            after=after,
            limit=limit,
        )

    def _decision(self, desk: Desk, at: MoveAt, reason: str) -> Decision:
        spec = self._spec
        facts: dict[str, str | int | bool] = {
            "from": spec.start,
            "to": spec.to,
            "count": at.count,
            "preview": spec.preview,
        }
        if spec.workflow is not None:
            facts["workflow"] = spec.workflow
        if at.ended:
            facts |= {"fit": at.fit, "misfit": at.misfit, "busy": at.busy, "gone": at.gone}
        return self._mandate.decision(desk, "move", reason, spec.reason, facts)
