"""Writing one record of a run without running its code: for what ends or moves a run from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.owner import Owner
from rco.model.journal import Record, encode_record
from rco.model.run import RunRow
from rco.store.contract.changes import Changes, Draft

__all__ = ["Ghost", "append_aside", "ghost_of"]


class Ghost(Live):
    """Stands in memory for a run that is only being written to: nobody loads it from what the database still says.
    Messages that come meanwhile are for who loads it afterwards."""

    __slots__ = ()


def ghost_of(owner: Owner, row: RunRow) -> Ghost:
    """Made, and not yet in memory."""
    start = {"workflow": row.workflow, "namespace": row.namespace, "version": row.version}
    ghost = Ghost(row.run_id, Machine(row.run_id), start, row.opened_us)
    owner.housed(ghost)
    ghost.ending = True
    return ghost


async def append_aside(
    owner: Owner, ghost: Ghost, seq: int, record: Record, add: Callable[[Changes], None], committed: Callable[[], None]
) -> None:
    """Append ``record`` as number ``seq``, with what ``add`` puts into the same transaction; returns when it is
    durable. The run must be out of memory and have ``seq`` records, and nothing awaited since that was seen.

    ``committed`` is called in the commit's own turn, when the ghost has left memory. Raises what lost the transaction,
    or what ended the writer; in neither case the ghost stays in memory.
    """
    # Before the ghost stands in memory: where nothing can be written now, nobody would ever take it out again, and the
    # run would neither begin nor go on.
    changes = owner.changes(ghost.run_id, ghost.shard)
    draft = Draft(ghost.run_id, seq, ghost.namespace)
    draft.records = 1
    draft.parts.append(encode_record(record))
    done: asyncio.Future[Any] = owner.loop.create_future()
    owner.live[ghost.run_id] = ghost
    changes.drafts.append(draft)
    add(changes)

    def stands() -> None:
        owner.evict(ghost)
        committed()
        if not done.done():
            done.set_result(None)

    def lost(problem: BaseException) -> None:
        owner.evict(ghost)
        if not done.done():
            done.set_exception(problem)

    changes.then.append((stands, ()))
    changes.lost.append(lost)
    await done
