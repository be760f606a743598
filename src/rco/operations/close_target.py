"""The kill switch: close a target, its credential or a namespace, and open it again."""

from __future__ import annotations

from rco.egress.gates import Gates
from rco.errors import Misuse, NotFound
from rco.kit.clock import iso
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.target import Target
from rco.model.wire_targets import CloseAsk, ClosureView, OpenAsk
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.record import record
from rco.operations.targets import closure_view

__all__ = ["EVERY", "close_target", "open_target"]

EVERY = "*"
"""Instead of a target: all of them, for one namespace."""


async def close_target(desk: Desk, principal: Principal, name: str, ask: CloseAsk) -> ClosureView:
    """Let no call out any more. When this returns it is durable and holds on this node; within a second it does on
    every node that reaches the store. Calls that meet it wait or fail, as the target says; those under way go on.

    Needs the operator's role for the principal's own namespace, the administrator's in every namespace there is for
    anything else. A second call
    replaces reason and end. Raises ``NotFound`` when no such target is declared.
    """
    scope = _scope(desk, principal, name, ask.namespace, ask.credential)
    for_s = None if ask.for_ms is None else ask.for_ms / 1000
    closed = await _gates(desk).close(
        scope, for_s=for_s, actor=f"principal:{principal.principal_id}", reason=ask.reason
    )
    # First what protects, then its evidence: a crash in between leaves a closure that itself says who and why.
    until = iso(closed.until_us) if closed.until_us else ""
    await record(desk, principal, Verb.SWITCH, scope, f"closed: {ask.reason}", {"closed": True, "until": until})
    return closure_view(scope, "switch", closed)


async def open_target(desk: Desk, principal: Principal, name: str, ask: OpenAsk) -> ClosureView | None:
    """Open again, a pause that the target asked for too. Gives what was closed, or ``None`` when nothing was.

    Needs what closing needs.
    """
    scope = _scope(desk, principal, name, ask.namespace, ask.credential)
    before = await _gates(desk).open(scope, actor=f"principal:{principal.principal_id}", reason=ask.reason)
    if before is None:
        return None
    await record(desk, principal, Verb.SWITCH, scope, f"opened: {ask.reason}", {"closed": False})
    return closure_view(scope, "switch", before)


def _scope(desk: Desk, principal: Principal, name: str, namespace: str, credential: bool) -> str:
    own = namespace == principal.namespace and not credential
    require(principal, Role.OPERATOR if own else Role.ADMIN)
    if not own and desk.spaces is not None:
        # It would be closed for others too.
        desk.spaces.need_all(principal)
    if name == EVERY:
        if not namespace or credential:
            raise Misuse("To close every target name a namespace.", cure="Close each target by its name instead.")
        return f"namespace:{namespace}"
    target = _declared(desk, name)
    if credential:
        if namespace or target.credential is None:
            raise Misuse(f"{name} has no credential, or a namespace was given as well.", cure="Leave out one of both.")
        return f"credential:{target.credential.secret}"
    return f"target:{name}/namespace:{namespace}" if namespace else f"target:{name}"


def _gates(desk: Desk) -> Gates:
    if desk.targets.gates is None:
        raise Misuse("Nothing can be closed where limits are kept in no store.", cure="Give Egress a sharing.")
    return desk.targets.gates


def _declared(desk: Desk, name: str) -> Target:
    for target in desk.targets.declared():
        if target.name == name:
            return target
    raise NotFound(f"no target is called {name[:64]!r}.", cure="rco target list shows those that are declared.")
