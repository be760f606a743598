"""Mint capabilities for others, say what a token is worth, revoke, and list keys."""

from __future__ import annotations

from rco.capability.scope import Ask, parse_scope
from rco.capability.token import parse, shown_id
from rco.errors import Misuse, Overloaded, RcoError
from rco.kit.clock import MICROS, iso
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.wire_capabilities import (
    CapabilityView,
    CheckAsk,
    KeyPage,
    KeyView,
    MintAsk,
    Minted,
    RevocationPage,
    RevocationView,
    RevokeAsk,
)
from rco.operations.access import require, require_everywhere
from rco.operations.clearance import enforcing
from rco.operations.desk import Desk
from rco.operations.record import record
from rco.store.contract.revocations import Revocation, RevokedKind

__all__ = ["PAGE_MAX", "check", "keys", "mint", "revocations", "revoke"]

PAGE_MAX = 500
REVOCATIONS_MAX = 100_000
"""Every node keeps them all in memory."""


async def mint(desk: Desk, principal: Principal, ask: MintAsk) -> Minted:
    """A capability in the principal's namespace. Needs the administrator's role.

    That it was minted is durable before it is handed out. Raises ``Misuse`` for scopes and lives that cannot be, or
    where capabilities are not enforced; ``StoreError`` when none can be minted now.
    """
    require(principal, Role.ADMIN)
    granting = enforcing(desk.clearance)
    ttl_s, now_us = ask.ttl_ms / 1000, desk.clock.now_us()
    proved = granting.mint(
        tuple(ask.scopes), namespace=principal.namespace, ttl_s=ttl_s, corr_id=ask.corr_id, b3=ask.body
    )
    token = proved.token
    facts: dict[str, str | int | bool] = {"kid": token.kid, "ttl_s": int(ttl_s), "scopes": " ".join(ask.scopes)[:500]}
    await record(desk, principal, Verb.MINT, shown_id(token.id), "minted", facts)
    expires_us = int(now_us / MICROS + ttl_s) * MICROS
    return Minted(token=str(token), id=token.id, kid=token.kid, expires_at=iso(expires_us))


async def check(desk: Desk, principal: Principal, ask: CheckAsk) -> CapabilityView:
    """What a token says and whether it is good here now. Needs the operator's role; leaves no record of the token.

    Raises ``Refused`` for what is no token, ``Misuse`` for a scope that names no action.
    """
    require(principal, Role.OPERATOR)
    authority = enforcing(desk.clearance).authority
    token = parse(ask.token)
    reason = ""
    try:
        proved = authority.proved(token)
        if ask.scope:
            proved.check(_action(ask.scope, proved.namespace))
        else:
            proved.check_life()
    except Misuse:
        raise
    except RcoError as problem:
        reason = problem.message
    caveats = [raw.decode("ascii", "backslashreplace") for raw in token.caveats]
    return CapabilityView(id=token.id, kid=token.kid, caveats=caveats, good=not reason, reason=reason)


def _action(text: str, namespace: str) -> Ask:
    try:
        scope = parse_scope(text)
    except ValueError as problem:
        raise Misuse(f"{problem}.", cure="Name one action, such as run:start:fulfil.") from None
    if scope.open_end or scope.path is not None or (scope.methods is not None and len(scope.methods) != 1):
        raise Misuse(f"{text!r} names more than one action.", cure="Name one, such as call:stock:GET.")
    method = next(iter(scope.methods)) if scope.methods is not None else ""
    return Ask(kind=scope.kind, name=scope.name, namespace=namespace, method=method)


async def revoke(desk: Desk, principal: Principal, ask: RevokeAsk) -> RevocationView:
    """Revoke. Needs the administrator's role.

    When this returns it is durable and holds on this node; it holds on every node within a second. A second call for
    an id or a key gives the first entry. Raises ``Misuse`` where capabilities are not enforced and ``Overloaded`` when
    too much was revoked one by one.
    """
    _may_revoke(principal, ask)
    office = enforcing(desk.clearance).office
    if ask.kind == "id" and len(office.revoked) >= REVOCATIONS_MAX:
        raise Overloaded(f"{len(office.revoked)} are revoked already.", cure="Revoke by key or by namespace.")
    entry = Revocation(
        kind=RevokedKind(ask.kind),
        name=ask.name,
        at_us=desk.clock.now_us(),
        actor=f"principal:{principal.principal_id}",
        reason=ask.reason,
    )
    # First what protects, then its evidence: a crash in between leaves an entry that itself says who and why.
    done = await office.feed.revoke(entry)
    name = shown_id(ask.name) if ask.kind == "id" else ask.name
    facts: dict[str, str | int | bool] = {"kind": ask.kind, "seq": done.seq, "epoch": done.epoch}
    await record(desk, principal, Verb.REVOKE, name, ask.reason, facts)
    return _view(done)


async def revocations(desk: Desk, principal: Principal, after: int, limit: int) -> RevocationPage:
    """One page, oldest first. Needs the viewer's role over all namespaces: it names what is of any."""
    require_everywhere(principal, Role.VIEWER)
    page = await desk.reader.revocations(after, max(1, min(limit, PAGE_MAX)))
    last = page.entries[-1].seq if page.entries else page.head
    return RevocationPage(items=[_view(one) for one in page.entries], next=last if last < page.head else None)


async def keys(desk: Desk, principal: Principal) -> KeyPage:
    """The root keys of this node, without their secrets. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    office = enforcing(desk.clearance).office
    return KeyPage(
        items=[
            KeyView(
                kid=one.kid,
                version=one.version,
                state="revoked" if one.kid in office.revoked.kids else one.state,
                created_at=one.created_at,
                mint_from=one.mint_from,
                accept_until=one.accept_until,
            )
            for one in office.ring().states(desk.clock.now_us())
        ]
    )


def _may_revoke(principal: Principal, ask: RevokeAsk) -> None:
    """Who is bound revokes what it can name: a capability by its id, which cannot be guessed, and its own namespace."""
    if ask.kind == "id" or (ask.kind == "epoch" and ask.name == principal.namespace):
        require(principal, Role.ADMIN)
    else:
        require_everywhere(principal, Role.ADMIN)


def _view(one: Revocation) -> RevocationView:
    return RevocationView(
        seq=one.seq,
        kind=one.kind.value,
        name=one.name,
        epoch=one.epoch,
        at=iso(one.at_us),
        actor=one.actor,
        reason=one.reason,
    )
