"""What commands on runs share: finding the run in the principal's namespace, and the decision they leave."""

from __future__ import annotations

from rco.capability.scope import Ask
from rco.errors import NotFound
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.run import RunRow
from rco.operations.access import Bearer, require
from rco.operations.desk import Desk

__all__ = ["command_decision", "find_run", "find_run_to"]


async def find_run(desk: Desk, principal: Principal, run_id: bytes) -> RunRow:
    """The run, or ``NotFound``; a run of another namespace is not found either."""
    row = await desk.reader.run(run_id)
    if row is None or row.namespace != principal.namespace:
        raise NotFound(f"no run {id_text(run_id)}.", cure="See `rco run list`.")
    return row


async def find_run_to(desk: Desk, principal: Principal, verb: str, run_id: bytes, b3: str = "") -> RunRow:
    """The run that ``principal`` wants to ``signal`` or ``cancel``: as an operator, or with a capability for it, which
    may be bound to the request's body, whose address is ``b3``. Raises ``Forbidden``, ``Refused``, ``NotFound``."""
    if not isinstance(principal, Bearer):
        require(principal, Role.OPERATOR)
        return await find_run(desk, principal, run_id)
    row = await find_run(desk, principal, run_id)
    principal.proved.check(
        Ask(kind=f"run:{verb}", name=row.workflow, namespace=principal.namespace, corr_id=row.corr_id, b3=b3)
    )
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
