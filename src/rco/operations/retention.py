"""Drop what is over its time: on schedule, at a rate, with a preview that changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from rco.errors import Conflict
from rco.kit.clock import iso
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.retention import RetentionOptions
from rco.model.run import RunRow
from rco.model.wire_tenants import RetentionLine, RetentionView
from rco.operations.access import require_everywhere
from rco.operations.cut_evidence import EvidenceCut
from rco.operations.desk import Desk
from rco.operations.drop_content import ContentCut
from rco.store.contract.retaining import Record, Removed, Retaining
from rco.telemetry import signals

__all__ = ["Retention", "run_retention", "show_retention"]

PAGE = 200
"""Of runs in one commit. A run may have many segments, and other commits wait meanwhile."""
BY_WEEK = "by week"
"""Instead of a class: all runs of a week of the journal, whatever class each was of."""
SLICE = 500
"""Of events and letters in one commit."""


class Retention:
    """The background duty of one node. Where several nodes share a database, the one that owns shard 0 does it."""

    def __init__(
        self,
        retaining: Retaining,
        options: RetentionOptions,
        feeds: Callable[[], list[str]] = list,
        content: ContentCut | None = None,
    ) -> None:
        """``feeds`` names those that chains are told by. ``content`` drops from the content store, where there is one
        that can."""
        self._retaining, self.options = retaining, options
        self._evidence, self._content = EvidenceCut(retaining, feeds), content
        self._task: asyncio.Task[None] | None = None
        self._at_work = asyncio.Lock()
        self.last: RetentionView | None = None

    def begin(self, desk: Desk) -> None:
        """Do it every ``options.every_s`` from now on, where there are classes."""
        self._task = asyncio.get_running_loop().create_task(self._duty(desk), name="rco-retention")

    async def stop(self) -> None:
        await stop_task(self._task)

    async def _duty(self, desk: Desk) -> None:
        while True:
            await asyncio.sleep(self.options.every_s)
            if self.options.classes and desk.engine.owns(0):
                try:
                    await self.run(desk, "node")
                except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on
                    desk.log.warning("retention.failed", error=problem)

    async def preview(self, desk: Desk) -> RetentionView:
        """How many of what would go now, and from when the first of it is. Changes nothing."""
        options, now_us = self.options, desk.clock.now_us()
        counts: dict[str, list[int]] = {}
        async for row in self._over(now_us):
            counts.setdefault(options.class_of(row), []).append(row.closed_us or 0)
        lines = [RetentionLine("runs", name, len(at), iso(min(at))) for name, at in sorted(counts.items())]
        counted = [
            ("events", options.events, self._retaining.count_events),
            ("dead_letters", options.dead_letters, self._retaining.count_letters),
            ("revocations", options.revocations, self._retaining.count_revocations),
        ]
        if self._content is not None:
            counted.append(("content", options.content, self._content.count))
        for kind, name, count in counted:
            keep_us = options.keep_us(name)
            if keep_us is not None:
                found, first_us = await count(now_us - keep_us)
                if found:
                    lines.append(RetentionLine(kind, name, found, None if first_us is None else iso(first_us)))
        links, since = await self._evidence.preview(desk, options, now_us)
        if links:
            lines.append(RetentionLine("links", options.evidence, links, since))
        return RetentionView(at=iso(now_us), preview=True, lines=lines)

    async def run(self, desk: Desk, actor: str) -> RetentionView:
        """Drop what is over its time; a second call finds nothing. Broken off, what is dropped is dropped, each part
        with its record. Raises ``Conflict`` while another one is under way on this node."""
        if self._at_work.locked():
            raise Conflict("retention is at work.", cure="Look again when it has ended: rco retention show.")
        async with self._at_work:
            options, now_us = self.options, desk.clock.now_us()
            counts: dict[tuple[str, str], int] = {}
            await self._drop_weeks(desk, now_us, actor, counts)
            page: list[RunRow] = []
            async for row in self._over(now_us):
                page.append(row)
                if len(page) == PAGE:
                    await self._drop_runs(desk, page, actor, counts)
                    page = []
            if page:
                await self._drop_runs(desk, page, actor, counts)
            for kind, name, drop in (
                ("events", options.events, self._retaining.drop_events),
                ("dead_letters", options.dead_letters, self._retaining.drop_letters),
                ("revocations", options.revocations, self._retaining.drop_revocations),
            ):
                keep_us = options.keep_us(name)
                while keep_us is not None:
                    removed = await drop(now_us - keep_us, SLICE, _record(desk, actor, kind, name))
                    count = removed.events + removed.letters + removed.revocations
                    if not count:
                        break
                    counts[kind, name] = counts.get((kind, name), 0) + count
                    await self._slow(desk, kind, count)
            keep_us = options.keep_us(options.content)
            if self._content is not None and keep_us is not None:
                async for count in self._content.drop(desk, now_us - keep_us, options.content, actor):
                    counts["content", options.content] = counts.get(("content", options.content), 0) + count
                    await self._slow(desk, "content", count)
            # Last: what went before may have been all that some links were kept for.
            links = await self._evidence.run(desk, options, now_us, actor)
            if links:
                counts["links", options.evidence] = links
            lines = [RetentionLine(kind, name, count, None) for (kind, name), count in sorted(counts.items())]
            self.last = RetentionView(at=iso(now_us), preview=False, lines=lines)
            facts: dict[str, str | int | bool] = {f"{one.kind}.{one.retention}": one.count for one in lines}
            desk.writer.note(
                Decision(verb=Verb.RETAIN, at_us=desk.clock.now_us(), actor=actor, reason="retention ran", facts=facts)
            )
            if lines and desk.spaces is not None:
                # What was stored is less now.
                await desk.reader.recount_namespaces(desk.spaces.bounded())
            desk.metrics.counter(signals.RETENTION_RUNS).add()
            return self.last

    async def _over(self, now_us: int) -> AsyncIterator[RunRow]:
        """Closed runs whose time is over, oldest first."""
        shortest_us = self.options.shortest_us
        after = b""
        while shortest_us is not None:
            page, behind = await self._retaining.closed_runs(now_us - shortest_us, after, PAGE)
            for row in page:
                if self.options.is_over(row, now_us):
                    yield row
            if behind is None:
                return
            after = behind

    async def _drop_weeks(self, desk: Desk, now_us: int, actor: str, counts: dict[tuple[str, str], int]) -> None:
        """What goes without its rows being looked for one by one, where the keeper can."""
        shortest_us = self.options.shortest_us
        if shortest_us is None:
            return
        record = _record(desk, actor, "runs", BY_WEEK)
        for removed in await self._retaining.drop_weeks(
            now_us - shortest_us, lambda row: self.options.is_over(row, now_us), record
        ):
            if removed.runs:
                counts["runs", BY_WEEK] = counts.get(("runs", BY_WEEK), 0) + removed.runs
                desk.metrics.counter(signals.RETENTION_DROPPED, kind="runs").add(removed.runs)

    async def _drop_runs(self, desk: Desk, page: list[RunRow], actor: str, counts: dict[tuple[str, str], int]) -> None:
        by_class: dict[str, list[bytes]] = {}
        for row in page:
            by_class.setdefault(self.options.class_of(row), []).append(row.run_id)
        for name, run_ids in by_class.items():
            record = _record(desk, actor, "runs", name)
            while (removed := await self._retaining.drop_runs(run_ids, record)).runs:
                counts["runs", name] = counts.get(("runs", name), 0) + removed.runs
                await self._slow(desk, "runs", removed.runs + removed.segments)
                desk.metrics.counter(signals.RETENTION_DROPPED, kind="runs").add(removed.runs)

    async def _slow(self, desk: Desk, kind: str, count: int) -> None:
        if kind != "runs":
            desk.metrics.counter(signals.RETENTION_DROPPED, kind=kind).add(count)
        await asyncio.sleep(count / self.options.rate_per_s)


def _record(desk: Desk, actor: str, kind: str, name: str) -> Record:
    def record(removed: Removed) -> Decision:
        facts: dict[str, str | int | bool] = {"class": name}
        if removed.runs or removed.segments:
            # What may be missing by right, for who verifies: see rco.verify.trims.
            facts |= {
                "from_us": removed.from_us,
                "until_us": removed.until_us,
                "runs": removed.runs,
                "segments": removed.segments,
                "chains": msgspec.json.encode(removed.chains).decode(),
            }
        else:
            facts["count"] = removed.events + removed.letters + removed.revocations
        return Decision(
            verb=Verb.TRIM if removed.runs or removed.segments else Verb.RETAIN,
            at_us=desk.clock.now_us(),
            actor=actor,
            subject=kind,
            reason="retention",
            facts=facts,
        )

    return record


async def show_retention(desk: Desk, principal: Principal) -> RetentionView:
    """What the last one dropped on this node since its start. Needs the viewer's role over all namespaces."""
    require_everywhere(principal, Role.VIEWER)
    retention: Retention | None = desk.retention
    if retention is None or retention.last is None:
        return RetentionView(at=None, preview=False, lines=[])
    return retention.last


async def run_retention(desk: Desk, principal: Principal, *, preview: bool) -> RetentionView:
    """Drop now, or only count. Needs the administrator's role over all namespaces. Raises ``Conflict`` while one is
    under way."""
    require_everywhere(principal, Role.ADMIN)
    retention: Retention = desk.retention
    if preview:
        return await retention.preview(desk)
    return await retention.run(desk, f"principal:{principal.principal_id}")
