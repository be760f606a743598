"""Bodies of the control API about who may do what, and where: principals and namespaces."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rco.model.body import Ask, View
from rco.model.namespace import Quotas

__all__ = [
    "CreateNamespace",
    "CreatePrincipal",
    "CreatedPrincipal",
    "NamespaceName",
    "NamespacePage",
    "NamespaceView",
    "PrincipalPage",
    "PrincipalView",
    "RetentionLine",
    "RetentionView",
    "SetNamespace",
    "UsageView",
]

NamespaceName = Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A namespace: a DNS label (RFC 1123), so that it can stand in addresses, labels and keys."""
NamespaceOrAll = Annotated[str, Meta(pattern="^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|[*])$")]
PrincipalId = Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
QuotaName = Annotated[str, Meta(pattern="^(" + "|".join(Quotas.__struct_fields__) + ")$")]
RoleName = Literal["viewer", "operator", "admin"]


class CreatePrincipal(Ask, frozen=True, kw_only=True):
    """A new principal. It works in the first of ``namespaces`` unless it asks for another one; ``*`` among them stands
    for all there are and will be. ``ttl_ms``: from then on its token is worth nothing; else it lasts until it is
    revoked."""

    id: PrincipalId
    role: RoleName
    namespaces: Annotated[list[NamespaceOrAll], Meta(min_length=1, max_length=64)] = msgspec.field(
        default_factory=lambda: ["default"]
    )
    name: Annotated[str, Meta(max_length=200)] = ""
    ttl_ms: Annotated[int, Meta(ge=60_000, le=3660 * 86_400_000)] | None = None


class PrincipalView(View, frozen=True, kw_only=True):
    """A principal without its token. ``by`` is who made it; empty where that was before it was written down."""

    id: str
    name: str
    role: RoleName
    namespaces: list[str]
    state: Literal["active", "expired"]
    created_at: str | None = None
    expires_at: str | None = None
    by: str = ""


class CreatedPrincipal(View, frozen=True, kw_only=True):
    """``token`` is a secret, shown this once and kept nowhere: the store holds its digest."""

    token: str
    principal: PrincipalView


class PrincipalPage(View, frozen=True, kw_only=True):
    """Every principal that the caller may know of, by id."""

    items: list[PrincipalView]


class CreateNamespace(Ask, frozen=True, kw_only=True):
    """A new namespace with its quotas; what is not given is not bounded."""

    name: NamespaceName
    quotas: Quotas = Quotas()


class SetNamespace(Ask, frozen=True, kw_only=True):
    """What is given is changed, the rest stays. ``quotas`` holds those to change: a number, or null for no bound."""

    state: Literal["active", "closed"] | msgspec.UnsetType = msgspec.UNSET
    quotas: dict[QuotaName, Annotated[int, Meta(ge=0, le=1 << 53)] | None] | msgspec.UnsetType = msgspec.UNSET


class UsageView(View, frozen=True, kw_only=True):
    """What a namespace has now. Starts and events are counted while it has a quota or is closed,
    stored bytes where they are bounded; what is not counted is null."""

    open_runs: int
    starts_this_second: int | None
    starts_today: int | None
    events_today: int | None
    stored_bytes: int | None
    schedules: int


class NamespaceView(View, frozen=True, kw_only=True):
    """A namespace. ``closed``: nothing new is accepted in it, and what was accepted goes on to its end."""

    name: str
    state: Literal["active", "closed"]
    quotas: Quotas
    usage: UsageView
    created_at: str | None = None
    origin: Literal["api", "config"] = "api"


class NamespacePage(View, frozen=True, kw_only=True):
    """Every namespace that the caller may enter, by name."""

    items: list[NamespaceView]


class RetentionLine(msgspec.Struct, frozen=True):
    """So many of one ``kind`` (runs, events, dead_letters, revocations, links) and class. ``since``: when the first of
    them ended."""

    kind: str
    retention: str
    count: int
    since: str | None = None


class RetentionView(View, frozen=True, kw_only=True):
    """What was dropped ``at`` a time, or with ``preview`` would be. ``at`` null: nothing was since the node started."""

    at: str | None
    preview: bool
    lines: list[RetentionLine]
