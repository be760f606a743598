"""Say who may use the control API, where, and for how long."""

from __future__ import annotations

from rco.errors import Conflict, Forbidden, NotFound
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.model.principal import EVERYWHERE, Principal, Role
from rco.model.wire_tenants import CreatedPrincipal, CreatePrincipal, PrincipalPage, PrincipalView
from rco.operations.access import mint_token, require, spaces, token_digest
from rco.operations.desk import Desk
from rco.operations.first_admin import ADMIN_ID, is_lasting_admin
from rco.operations.recording import record

__all__ = ["create_principal", "list_principals", "revoke_principal"]


async def create_principal(desk: Desk, principal: Principal, ask: CreatePrincipal) -> CreatedPrincipal:
    """A new principal with its token, which is in this answer and nowhere else. Needs the administrator's role in every
    namespace that is asked for.

    That it was made is durable before the token works. Raises ``Conflict`` when there is one of that id: what is lost
    is revoked and made anew.
    """
    require(principal, Role.ADMIN)
    for namespace in ask.namespaces:
        if not principal.may_enter(namespace):
            raise Forbidden(
                f"{principal.name!r} is bound to {', '.join(spaces(principal))} and gives no access to {namespace}.",
                cure="Use the token of a principal of all namespaces.",
            )
        if desk.spaces is not None and namespace != EVERYWHERE:
            desk.spaces.known(namespace)
    if ask.id == ADMIN_ID or any(one.principal_id == ask.id for one in await desk.reader.principals()):
        raise Conflict(f"there is a principal {ask.id!r}.", cure="Take another id, or revoke that one first.")
    now_us = desk.clock.now_us()
    first = next((one for one in ask.namespaces if one != EVERYWHERE), "default")
    made = Principal(
        principal_id=ask.id,
        name=ask.name or ask.id,
        role=Role(ask.role),
        namespace=first,
        namespaces=tuple(dict.fromkeys(one for one in ask.namespaces if one != first)),
        expires_us=None if ask.ttl_ms is None else now_us + ask.ttl_ms * 1000,
        created_us=now_us,
        origin=f"principal:{principal.principal_id}",
    )
    facts: dict[str, str | int | bool] = {"role": ask.role, "namespaces": " ".join(ask.namespaces)[:500]}
    if made.expires_us is not None:
        facts["expires"] = iso(made.expires_us)
    await record(desk, _decision(desk, principal, ask.id, "created", facts))
    token = mint_token(desk.ids)
    if not await desk.reader.found_principal(made, token_digest(token)):
        await record(desk, _decision(desk, principal, ask.id, "not created: there is one", {}, allow=False))
        raise Conflict(f"there is a principal {ask.id!r}.", cure="Take another id, or revoke that one first.")
    return CreatedPrincipal(token=token, principal=_view(made, now_us))


async def list_principals(desk: Desk, principal: Principal) -> PrincipalPage:
    """Those whose namespaces the caller may all enter, by id; none of their tokens. Needs the administrator's role."""
    require(principal, Role.ADMIN)
    now_us = desk.clock.now_us()
    known = await desk.reader.principals()
    return PrincipalPage(items=[_view(one, now_us) for one in known if _knows(principal, one)])


async def revoke_principal(desk: Desk, principal: Principal, principal_id: str, reason: str = "") -> None:
    """Take the principal's token away: here at once, on every node within ``access.CACHE_S``. Needs the administrator's
    role in all its namespaces. What it started goes on.

    Raises ``NotFound``, also for one that the caller may not know of, and ``Conflict`` for the last administrator of
    all namespaces: nobody could make another one.
    """
    require(principal, Role.ADMIN)
    known = await desk.reader.principals()
    found = next((one for one in known if one.principal_id == principal_id and _knows(principal, one)), None)
    if found is None:
        raise NotFound(f"no principal {principal_id!r}.", cure="See `rco principal list`.")
    if is_lasting_admin(found) and sum(map(is_lasting_admin, known)) == 1:
        raise Conflict(
            f"{principal_id!r} is the last administrator of all namespaces.",
            cure="Make another one first: rco principal create --role admin --namespace '*'.",
        )
    # First what protects, then its evidence.
    await desk.reader.drop_principal(principal_id)
    desk.forget_tokens()
    await record(desk, _decision(desk, principal, principal_id, "revoked", {"why": reason} if reason else {}))


def _knows(principal: Principal, other: Principal) -> bool:
    return all(principal.may_enter(one) for one in spaces(other))


def _decision(
    desk: Desk,
    principal: Principal,
    subject: str,
    reason: str,
    facts: dict[str, str | int | bool],
    *,
    allow: bool = True,
) -> Decision:
    return Decision(
        verb=Verb.PRINCIPAL,
        at_us=desk.clock.now_us(),
        allow=allow,
        actor=f"principal:{principal.principal_id}",
        subject=subject,
        reason=reason,
        facts=facts,
    )


def _view(one: Principal, now_us: int) -> PrincipalView:
    return PrincipalView(
        id=one.principal_id,
        name=one.name,
        role=one.role.value,
        namespaces=[EVERYWHERE] if one.everywhere else spaces(one),
        state="expired" if one.expires_us is not None and one.expires_us <= now_us else "active",
        created_at=iso(one.created_us) if one.created_us else None,
        expires_at=None if one.expires_us is None else iso(one.expires_us),
        by=one.origin if one.principal_id != ADMIN_ID else "",
    )
