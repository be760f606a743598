"""Start a run by name."""

from __future__ import annotations

import msgspec

from rco.capability.scope import Ask
from rco.engine.ask import StartAsk, Started
from rco.errors import NotFound
from rco.model.principal import Principal, Role
from rco.operations.access import Bearer, require
from rco.operations.clearance import GrantFor
from rco.operations.desk import Desk
from rco.operations.observe_traces import asked_for

__all__ = ["bearer_grant", "start"]


async def start(desk: Desk, principal: Principal, ask: StartAsk, b3: str = "") -> Started:
    """Open a run in the principal's namespace. Needs the operator's role, or a capability for it: then the run holds
    what that allows. ``b3`` is the address of the request's body.

    When this returns the run is durable and will close exactly once. The same key with the same request gives the same
    run. Raises ``Conflict``, ``Overloaded``, ``NotFound`` or ``Misuse``.
    """
    if ask.workflow.startswith("rco."):
        raise NotFound(f"no workflow named {ask.workflow!r}.", cure="What begins with rco. is the service's own.")
    corr_id = ask.corr_id or desk.ids.ulid()
    if isinstance(principal, Bearer):
        grant_for: GrantFor | None = bearer_grant(principal, ask.workflow, corr_id, b3)
    else:
        require(principal, Role.OPERATOR)
        grant_for = desk.clearance.principal(principal, ask.workflow, corr_id)
    tracer, began_us = desk.tracer, desk.clock.now_us()
    # Where no spans are made, a run that nobody's trace comes with begins one with itself.
    trace, caller = tracer.came(ask.trace) if tracer.on else (ask.trace, "")
    given = msgspec.structs.replace(
        ask,
        namespace=principal.namespace,
        actor=f"principal:{principal.principal_id}",
        corr_id=corr_id,
        trace=trace,
        grant_for=grant_for,
    )
    started = await desk.engine.start_run(given)
    if tracer.on:
        asked_for(tracer, desk.clock, given, started, caller, began_us)
    return started


def bearer_grant(bearer: Bearer, workflow: str, corr_id: str, b3: str) -> GrantFor:
    """The grant of a run that a capability starts. Raises ``Refused`` when it does not allow the start."""
    ask = Ask(kind="run:start", name=workflow, namespace=bearer.namespace, corr_id=corr_id, b3=b3)
    bearer.proved.check(ask)
    return lambda run_id: bearer.proved.grant(ask, run_id)
