"""Make namespaces, look at them, and say what each may have."""

from __future__ import annotations

import msgspec

from rco.errors import Conflict, NotFound
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.model.namespace import NamespaceRow, NamespaceState, Quotas
from rco.model.principal import Principal, Role
from rco.model.wire_tenants import CreateNamespace, NamespacePage, NamespaceView, SetNamespace, UsageView
from rco.operations.access import require, require_everywhere
from rco.operations.desk import Desk
from rco.operations.recording import record

__all__ = ["create_namespace", "declare_namespaces", "list_namespaces", "set_namespace", "show_namespace"]


async def create_namespace(desk: Desk, principal: Principal, ask: CreateNamespace) -> NamespaceView:
    """A new namespace. Needs the administrator's role over all namespaces. Raises ``Conflict`` when there is one."""
    require_everywhere(principal, Role.ADMIN)
    row = NamespaceRow(name=ask.name, quotas=ask.quotas, created_us=desk.clock.now_us())
    if not await _put(desk, row, None, f"principal:{principal.principal_id}", "created"):
        raise Conflict(f"there is a namespace {ask.name!r}.", cure="Change it with PATCH, or rco namespace set.")
    return await _view(desk, row)


async def list_namespaces(desk: Desk, principal: Principal) -> NamespacePage:
    """Those that the principal may enter, by name, with what they have. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    known = await desk.reader.namespaces()
    return NamespacePage(items=[await _view(desk, row) for row in known if principal.may_enter(row.name)])


async def show_namespace(desk: Desk, principal: Principal, name: str) -> NamespaceView:
    """One with what it has. Needs the viewer's role. Raises ``NotFound``, also where the principal may not enter."""
    require(principal, Role.VIEWER)
    return await _view(desk, await _find(desk, principal, name))


async def set_namespace(desk: Desk, principal: Principal, name: str, ask: SetNamespace) -> NamespaceView:
    """Change what is given; the rest stays. A quota of ``null`` bounds nothing any more. Needs the administrator's role
    over all namespaces: a tenant does not set its own bounds.

    It holds on this node when this returns, on every node within ``spaces.REFRESH_S``. A quota below what there is
    refuses what is new, and takes nothing away. Raises ``Conflict`` where a configuration declares the namespace, or
    when somebody else changed it meanwhile.
    """
    require_everywhere(principal, Role.ADMIN)
    before = await _find(desk, principal, name)
    if before.origin == "config":
        raise Conflict(f"namespace {name!r} is declared in the configuration.", cure="Change it there.")
    quotas = before.quotas
    if ask.quotas is not msgspec.UNSET:
        known = msgspec.to_builtins(quotas)
        quotas = msgspec.convert({**known, **ask.quotas}, Quotas)
    row = msgspec.structs.replace(
        before,
        state=before.state if ask.state is msgspec.UNSET else NamespaceState(ask.state),
        quotas=quotas,
        revision=before.revision + 1,
    )
    if (row.state, row.quotas) != (before.state, before.quotas) and not await _put(
        desk, row, before.revision, f"principal:{principal.principal_id}", "changed"
    ):
        raise Conflict(f"namespace {name!r} was changed meanwhile.", cure="Look at it, then ask again.")
    return await _view(desk, row)


async def declare_namespaces(desk: Desk, declared: dict[str, Quotas]) -> None:
    """Bring the store to what a configuration declares. Each step leaves a decision; nothing is done twice. What is no
    longer declared stays as it is, and may be changed by the API from then on: what it holds is not thrown away."""
    known = {row.name: row for row in await desk.reader.namespaces()}
    for name, quotas in declared.items():
        before = known.get(name)
        if before is None:
            row = NamespaceRow(name=name, quotas=quotas, created_us=desk.clock.now_us(), origin="config")
            await _put(desk, row, None, "config", "created")
        elif (before.quotas, before.origin) != (quotas, "config"):
            row = msgspec.structs.replace(before, quotas=quotas, origin="config", revision=before.revision + 1)
            await _put(desk, row, before.revision, "config", "changed")
    for name, before in known.items():
        if before.origin == "config" and name not in declared:
            row = msgspec.structs.replace(before, origin="api", revision=before.revision + 1)
            await _put(desk, row, before.revision, "config", "no longer declared")


async def _put(desk: Desk, row: NamespaceRow, expect: int | None, actor: str, reason: str) -> bool:
    done = await desk.reader.put_namespace(row, expect)
    if done:
        facts: dict[str, str | int | bool] = {"state": row.state.value}
        facts |= msgspec.to_builtins(row.quotas)
        await record(
            desk,
            Decision(
                verb=Verb.NAMESPACE,
                at_us=desk.clock.now_us(),
                actor=actor,
                subject=row.name,
                reason=reason,
                facts=facts,
            ),
        )
        if desk.spaces is not None:
            await desk.spaces.look()
    return done


async def _find(desk: Desk, principal: Principal, name: str) -> NamespaceRow:
    known = await desk.reader.namespaces()
    found = next((row for row in known if row.name == name and principal.may_enter(name)), None)
    if found is None:
        raise NotFound(f"no namespace {name!r}.", cure="See `rco namespace list`.")
    return found


async def _view(desk: Desk, row: NamespaceRow) -> NamespaceView:
    used = await desk.reader.namespace_usage(row.name)
    return NamespaceView(
        name=row.name,
        state=row.state.value,
        quotas=row.quotas,
        usage=UsageView(
            open_runs=used.open_runs,
            starts_this_second=used.starts_second if row.watched else None,
            starts_today=used.starts_day if row.watched else None,
            events_today=used.events_day if row.watched else None,
            stored_bytes=used.stored_bytes,
            schedules=used.schedules,
        ),
        created_at=iso(row.created_us) if row.created_us else None,
        origin="config" if row.origin == "config" else "api",
    )
