"""A principal: who asks."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Principal", "Role"]


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
