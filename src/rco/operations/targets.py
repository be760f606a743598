"""Look at targets."""

from __future__ import annotations

from collections.abc import Mapping

from rco.egress import ledger
from rco.egress.closures import Closed
from rco.egress.leaser import KIND
from rco.egress.ledger import Ledger
from rco.egress.limits import Limits
from rco.egress.state import TargetState
from rco.errors import NotFound
from rco.kit.clock import iso
from rco.model.principal import Principal, Role
from rco.model.target import Target
from rco.model.wire_targets import BudgetView, ClosureView, HolderView, LimitView, TargetPage, TargetView
from rco.operations.access import require
from rco.operations.desk import Desk

__all__ = ["closure_view", "list_targets", "show_target"]


async def list_targets(desk: Desk, principal: Principal) -> TargetPage:
    """Every declared target by name, with its state on this node. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    declared = {target.name: target for target in desk.targets.declared()}
    views = [_view(desk, principal, declared[state.name], state, {}) for state in desk.targets.state()]
    return TargetPage(items=sorted(views, key=lambda view: view.name))


async def show_target(desk: Desk, principal: Principal, name: str) -> TargetView:
    """One target, with every node's part of its limits as the store has it. Needs the viewer's role.

    Raises ``NotFound`` when it is not declared."""
    require(principal, Role.VIEWER)
    for target, state in zip(desk.targets.declared(), desk.targets.state(), strict=True):
        if target.name == name:
            scopes = [limits.scope for limits in desk.targets.limits_of(name)]
            read = await desk.reader.limit_states(KIND, scopes)
            return _view(desk, principal, target, state, {one.name: ledger.decode(one.body) for one in read.states})
    raise NotFound(f"no target is called {name[:64]!r}.", cure="rco target list shows those that are declared.")


def _view(
    desk: Desk, principal: Principal, target: Target, state: TargetState, ledgers: Mapping[str, Ledger]
) -> TargetView:
    return TargetView(
        name=state.name,
        base_url=target.base_url,
        allow=[f"{','.join(rule.methods)} {rule.path}" for rule in target.allow],
        breaker=state.breaker,
        in_flight=state.in_flight,
        waiting=state.waiting,
        concurrency=state.concurrency,
        rate_per_s=state.rate_per_s,
        calls=state.calls,
        outcomes=state.outcomes,
        closed_until=iso(state.closed_until_us) if state.closed_until_us is not None else None,
        fallback=target.fallback is not None,
        when_closed=target.when_closed,
        closed=[closure_view(*one) for one in _closures(desk, target.name) if _may_see(principal, one[0])],
        limits=[
            _limit(limits, ledgers.get(limits.scope))
            for limits in desk.targets.limits_of(target.name)
            if _may_see(principal, limits.scope)
        ],
    )


def _closures(desk: Desk, name: str) -> list[tuple[str, str, Closed]]:
    gates, lane = desk.targets.gates, desk.targets.lane(name)
    return [] if gates is None or lane is None else gates.closed(lane)


def _may_see(principal: Principal, scope: str) -> bool:
    """What belongs to one namespace is shown to it, and to administrators."""
    _, _, namespace = scope.partition("namespace:")
    return not namespace or namespace == principal.namespace or principal.role is Role.ADMIN


def closure_view(scope: str, why: str, closed: Closed) -> ClosureView:
    return ClosureView(
        scope=scope,
        why=why,  # type: ignore[arg-type]
        since=iso(closed.at_us),
        until=iso(closed.until_us) if closed.until_us else None,
        actor=closed.actor,
        reason=closed.reason,
    )


def _limit(limits: Limits, book: Ledger | None) -> LimitView:
    spent = {} if book is None else book.spent
    holders = {} if book is None else book.holders
    budgets = []
    for share in limits.budgets:
        of, _, per = share.key.partition("/")
        known = spent.get(share.key)
        budgets.append(
            BudgetView(
                of=of,  # type: ignore[arg-type]
                per=per,  # type: ignore[arg-type]
                limit=share.limit,
                period=share.period if known is None else known.period,
                given=0 if known is None else known.given,
                here=share.left,
            )
        )
    return LimitView(
        scope=limits.scope,
        rate_per_s=limits.rate_per_s,
        burst=None if limits.rate_per_s is None else int(limits.burst),
        concurrency=limits.concurrency,
        leased=int(limits.allowance) if limits.leased and limits.concurrency is not None else None,
        in_use=limits.in_flight,
        waiting=limits.waiting,
        budgets=budgets,
        nodes=[
            HolderView(node=name.partition("#")[0], leased=one.held, wanted=one.wanted)
            for name, one in sorted(holders.items())
            if one.held or one.wanted
        ],
    )
