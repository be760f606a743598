"""Beginning work on many runs, and looking at how far it is."""

from __future__ import annotations

import msgspec

from rco.engine.ask import StartAsk
from rco.errors import NotFound
from rco.kit.ids import id_text
from rco.model.journal import Kind, Record
from rco.model.principal import Principal, Role
from rco.model.run import RunRow
from rco.model.wire import StartedRun
from rco.operations.access import require
from rco.operations.command import find_run
from rco.operations.desk import Desk
from rco.store.contract.reader import records_of

__all__ = ["paged_run", "pages_of", "start_paged", "started_before"]


async def started_before(desk: Desk, principal: Principal, key: str | None) -> StartedRun | None:
    """The run that ``key`` stands for already."""
    if key is None or (known := await desk.reader.key_holder(principal.namespace, key)) is None:
        return None
    return StartedRun(id=id_text(known), created=False)


async def start_paged(
    desk: Desk, principal: Principal, workflow: str, given: msgspec.Struct, key: str | None
) -> StartedRun:
    """Begin the service's own ``workflow`` with ``given``; durable when this returns. Raises ``Conflict``,
    ``Overloaded``."""
    started = await desk.engine.start_run(
        StartAsk(
            workflow=workflow,
            input=msgspec.to_builtins(given, builtin_types=(bytes,)),
            key=key,
            namespace=principal.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=desk.ids.ulid(),
        )
    )
    return StartedRun(id=id_text(started.run_id), created=started.created)


async def paged_run(
    desk: Desk, principal: Principal, run_id: bytes, workflow: str, called: str
) -> tuple[RunRow, list[Record]]:
    """The run and its journal. Needs the viewer's role; ``NotFound`` for a run that is no ``workflow``."""
    require(principal, Role.VIEWER)
    row = await find_run(desk, principal, run_id)
    if row.workflow != workflow:
        raise NotFound(f"run {id_text(run_id)} is no {called}.", cure="See `rco run show`.")
    return row, records_of(await desk.reader.journal(run_id))


def pages_of(records: list[Record]) -> list[object]:
    """What each step that was done gave, in their order."""
    return [record.body[1] for record in records if record.kind == Kind.STEP_END and record.body[0]]
