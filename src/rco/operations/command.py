"""What commands on runs share: finding the run in the principal's namespace, and the decision they leave."""

from __future__ import annotations

from rco.errors import NotFound
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal
from rco.model.run import RunRow
from rco.operations.desk import Desk

__all__ = ["command_decision", "find_run"]


async def find_run(desk: Desk, principal: Principal, run_id: bytes) -> RunRow:
    """The run, or ``NotFound``; a run of another namespace is not found either."""
    row = await desk.reader.run(run_id)
    if row is None or row.namespace != principal.namespace:
        raise NotFound(f"no run {id_text(run_id)}.", cure="See `rco run list`.")
    return row


def command_decision(
    desk: Desk, principal: Principal, row: RunRow, verb: Verb, reason: str = "", **facts: str | int | bool
) -> Decision:
    """The evidence of a command: who asked what of which run."""
    return Decision(
        verb=verb,
        at_us=desk.clock.now_us(),
        actor=f"principal:{principal.principal_id}",
        subject=row.workflow,
        run=id_text(row.run_id),
        corr_id=row.corr_id,
        reason=reason,
        facts=facts,
    )
