"""Handing admissions to the writer: what must be durable before somebody is told that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.engine.owner import Owner
from rco.errors import Reason, Refused
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.writer import Writer

__all__ = ["Submitting"]


class Submitting:
    """Submits, and tells of what a quota refused: ``on_quota(namespace, quota)``."""

    def __init__(self, owner: Owner, writer: Writer) -> None:
        self._owner, self._writer = owner, writer
        self.on_quota: list[Callable[[str, str], None]] = []

    async def submit(self, shard: int, admission: Admission, then: Callable[[Admitted], None]) -> Admitted:
        """Hand an admission to the writer. ``then`` runs in the commit's own turn, before this returns.

        Raises ``Refused`` when a quota of its namespace has no room for it: RATE_LIMIT where it may be asked again,
        POLICY_BLOCKED where somebody must make room first. The refusal stands in the chain then.
        """
        future: asyncio.Future[Admitted] = self._owner.loop.create_future()

        def done(outcome: Admitted) -> None:
            then(outcome)
            if not future.done():
                future.set_result(outcome)

        def failed(problem: BaseException) -> None:
            if not future.done():
                future.set_exception(problem)

        admission.done, admission.failed = done, failed
        changes = self._writer.changes(shard)
        changes.admissions.append(admission)
        changes.records += 1
        if admission.payloads:
            changes.payloads.extend(admission.payloads)
        if admission.staged is not None:
            changes.staged.append(admission.staged)
            changes.size_bytes += len(admission.staged.data)
        admitted = await future
        if admitted.status == "quota":
            for listener in self.on_quota:
                listener(admitted.namespace, admitted.quota)
            raise _over(admitted)
        return admitted


def _over(admitted: Admitted) -> Refused:
    said = (
        f"namespace {admitted.namespace!r} is closed."
        if admitted.quota == "closed"
        else f"namespace {admitted.namespace!r} has used up its quota {admitted.quota}."
    )
    if not admitted.retry_after_s:
        return Refused(Reason.POLICY_BLOCKED, f"quota_{admitted.quota}", said)
    return Refused(Reason.RATE_LIMIT, f"quota_{admitted.quota}", said, retry_after_s=admitted.retry_after_s)
