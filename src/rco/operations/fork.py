"""Fork a run from a step, and reset one to a step."""

from __future__ import annotations

import msgspec

from rco.engine.ask import Started
from rco.engine.forking import ForkAsk
from rco.errors import Conflict
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.run import Mode
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.desk import Desk

__all__ = ["fork", "reset"]


async def fork(desk: Desk, principal: Principal, run_id: bytes, ask: ForkAsk) -> Started:
    """Open a run that begins with what this one did before a step, and does that step and the rest itself. Needs the
    operator's role.

    Without a step it is the one that the run failed at: so what had succeeded is not done again. The original goes on
    as it did. Raises ``NotFound`` for a step that was not recorded, and ``Conflict`` when there is none it failed at,
    when compensations have undone the copied part, or when the code there is does not fit it.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    return await desk.engine.fork(row, _by(principal, ask))


async def reset(desk: Desk, principal: Principal, run_id: bytes, ask: ForkAsk) -> Started:
    """Close this run, as terminated, and go on from a step in a fork of it. Needs the operator's role.

    Nothing is closed unless the fork can be opened. A second call gives the same fork. Raises what ``fork`` does, and
    ``Conflict`` for a child whose parent waits for it.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    if row.parent is not None and row.mode is not Mode.CLOSED:
        raise Conflict(
            f"run {id_text(run_id)} is a child: its parent waits for this run and no other.",
            cure=f"Reset its parent, run {id_text(row.parent)}, or fork this one.",
        )
    decision = command_decision(desk, principal, row, Verb.RESET, ask.reason, step=ask.step)
    return await desk.engine.reset(row, _by(principal, ask), decision)


def _by(principal: Principal, ask: ForkAsk) -> ForkAsk:
    return msgspec.structs.replace(ask, actor=f"principal:{principal.principal_id}")
