"""A principal: who asks."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["EVERYWHERE", "Principal", "Role"]

EVERYWHERE = "*"
"""Stands among the namespaces of a principal that may enter every one, those to come too."""


class Role(StrEnum):
    """What a principal may do: each role may do all that the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that may use the control API. Its token is stored only as a digest."""

    principal_id: str
    name: str
    role: Role
    namespace: str = "default"
    """The one that this request is in; of a principal as it is stored, the one it is in unless it says otherwise."""
    namespaces: tuple[str, ...] = ()
    """Those it may enter beside ``namespace``."""
    expires_us: int | None = None
    """From then on its token is worth nothing."""
    created_us: int = 0
    origin: str = ""
    """Who made it, and for the first administrator where its token was put."""

    @property
    def everywhere(self) -> bool:
        """Whether it may enter every namespace."""
        return EVERYWHERE in self.namespaces

    def may_enter(self, namespace: str) -> bool:
        return namespace == self.namespace or namespace in self.namespaces or self.everywhere
