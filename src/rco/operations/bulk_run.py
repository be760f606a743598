"""A bulk at work: a run of the engine's own, so that it is durable, paused, resumed and cancelled like any other.

It goes through the runs that its filter finds, from new to old, a page at a time; each page is a step. Every command
goes through the same operation, with the same grant, as if it were given by hand, and leaves the same decision. A page
that is begun again after a crash finds what is left of it, or gives commands again that have no further effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from rco.engine.forking import ForkAsk
from rco.engine.program import Program, StartBody
from rco.errors import Overloaded, RcoError
from rco.kit.ids import id_text
from rco.model.decision import Decision
from rco.model.effect import Answer
from rco.model.endpoint import DELIVER
from rco.model.principal import Principal
from rco.operations.cancel import cancel
from rco.operations.desk import Desk
from rco.operations.fork import fork
from rco.operations.paging import AT_A_TIME, Mandate, Pace, page_answer, page_size, paged_program
from rco.operations.pause import pause, resume
from rco.operations.redelivery import redeliver
from rco.operations.retry import retry
from rco.operations.terminate import terminate
from rco.store.contract.reader import RunFilter

__all__ = ["BULK", "BulkAt", "BulkSpec", "bulk_program", "users_only"]

BULK = "rco.bulk"
ERRORS_MAX = 20
Command = Callable[[Desk, Principal, bytes, str], Awaitable[Any]]


async def _retry(desk: Desk, principal: Principal, run_id: bytes, reason: str) -> None:
    await retry(desk, principal, run_id, reason)


async def _retry_step(desk: Desk, principal: Principal, run_id: bytes, reason: str) -> None:
    await fork(desk, principal, run_id, ForkAsk(key="retry", reason=reason))


async def _terminate(desk: Desk, principal: Principal, run_id: bytes, reason: str) -> None:
    await terminate(desk, principal, run_id, reason)


COMMANDS: dict[str, Command] = {
    "retry": _retry,
    "retry-step": _retry_step,
    "cancel": cancel,
    "terminate": _terminate,
    "pause": pause,
    "resume": resume,
    "redeliver": redeliver,
}


class BulkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a bulk. ``before``: only runs that were there when it was asked for."""

    action: str
    where: RunFilter
    before: bytes
    rate_per_s: float | None = None
    stop_after_failures: int | None = None
    reason: str = ""


class BulkAt(msgspec.Struct, frozen=True, kw_only=True):
    """How far a bulk is. ``ended``: ``done``, or why it stopped; empty while it goes on."""

    count: int = 0
    done: int = 0
    failed: int = 0
    after: bytes = b""
    due_us: int = 0
    ended: str = ""
    errors: list[tuple[str, str]] = []
    """(run id, message) of the first that failed."""


def bulk_program(desk: Callable[[], Desk]) -> Program:
    """The program behind every bulk. ``desk`` is asked at each page."""
    return paged_program(BULK, ("count", "done", "failed", "ended", "errors"), partial(_Work, desk))


class _Work:
    """The steps of one bulk."""

    def __init__(self, desk: Callable[[], Desk], run_id: bytes, start: StartBody) -> None:
        self._desk, self._mandate = desk, Mandate.of(run_id, start)
        self._spec = msgspec.convert(start["input"], BulkSpec)

    async def begin(self, _: dict[str, Any]) -> Answer:
        """Count what there is to do, and write down that it begins."""
        desk = self._desk()
        await self._principal(desk)
        count = await desk.reader.count_runs(self._where(self._spec.before, 0))
        at = BulkAt(count=count, after=self._spec.before)
        return page_answer(at, self._decision(desk, at, "began"))

    async def page(self, before: dict[str, Any]) -> Answer:
        """Give the command to the runs of one page."""
        desk, spec = self._desk(), self._spec
        principal = await self._principal(desk)
        at = msgspec.convert(before, BulkAt)
        size = page_size(spec.rate_per_s)
        rows = await desk.reader.runs(self._where(at.after, size))
        pace = Pace(desk, spec.rate_per_s, at.due_us)
        errors = list(at.errors)
        done, failed, after = 0, 0, at.after
        under_way: set[asyncio.Task[str]] = set()
        by_task: dict[asyncio.Task[str], bytes] = {}

        def ended(tasks: set[asyncio.Task[str]]) -> None:
            nonlocal done, failed
            for task in tasks:
                message = task.result()
                done, failed = done + (not message), failed + bool(message)
                if message and len(errors) < ERRORS_MAX:
                    errors.append((id_text(by_task.pop(task)), message))

        try:
            for row in rows:
                if self._too_many(at.failed + failed):
                    break
                await pace.wait()
                after = row.run_id
                task = asyncio.create_task(self._one(desk, principal, row.run_id))
                by_task[task] = row.run_id
                under_way.add(task)
                while len(under_way) >= (1 if spec.stop_after_failures is not None else AT_A_TIME):
                    finished, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    ended(finished)
            if under_way:
                finished, under_way = await asyncio.wait(under_way)
                ended(finished)
        finally:
            for task in under_way:
                task.cancel()
        why = ""
        if self._too_many(at.failed + failed):
            why = f"stopped: more than {spec.stop_after_failures} failed"
        elif len(rows) < size:
            why = "done"
        now = BulkAt(
            count=at.count,
            done=at.done + done,
            failed=at.failed + failed,
            after=after,
            due_us=pace.due_us,
            ended=why,
            errors=errors,
        )
        return page_answer(now, *([self._decision(desk, now, why)] if why else []))

    async def _one(self, desk: Desk, principal: Principal, run_id: bytes) -> str:
        """Give the command to one run. Returns what was wrong, or nothing."""
        pause_s = 0.05
        while True:
            try:
                await COMMANDS[self._spec.action](desk, principal, run_id, f"bulk {id_text(self._mandate.run_id)}")
            except Overloaded:
                # There is no hurry: what was accepted before comes first.
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)
            except RcoError as problem:
                return problem.message
            else:
                return ""

    def _too_many(self, failed: int) -> bool:
        limit = self._spec.stop_after_failures
        return limit is not None and failed > limit

    def _where(self, after: bytes, limit: int) -> RunFilter:
        return msgspec.structs.replace(
            self._spec.where, after=after, limit=limit, users_only=users_only(self._spec.where)
        )

    async def _principal(self, desk: Desk) -> Principal:
        return await self._mandate.principal(desk, self._spec.where.namespace)

    def _decision(self, desk: Desk, at: BulkAt, reason: str) -> Decision:
        spec, where = self._spec, self._spec.where
        facts: dict[str, str | int | bool] = {"action": spec.action, "count": at.count}
        named = {
            "workflow": where.workflow,
            "state": where.outcome.value if where.outcome is not None else where.mode and where.mode.name.lower(),
            "code": where.code,
            "text": where.text,
            "attributes": " ".join(f"{one.name}{one.op}{one.value}" for one in where.attributes) or None,
            "opened_from_us": where.opened_from_us,
            "opened_to_us": where.opened_to_us,
            "rate_per_s": None if spec.rate_per_s is None else f"{spec.rate_per_s:g}",
            "stop_after_failures": spec.stop_after_failures,
        }
        facts |= {name: value for name, value in named.items() if value is not None}
        if at.ended:
            facts |= {"done": at.done, "failed": at.failed}
        return self._mandate.decision(desk, spec.action, reason, spec.reason, facts)


def users_only(where: RunFilter) -> bool:
    """Whether the service's own runs are left out: all but deliveries, where these are asked for."""
    return where.workflow != DELIVER
