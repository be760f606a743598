"""What every body of the control API is: asked for or answered, and the fields that many of them have."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Ask", "Name", "Reason", "View"]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(max_length=1000)]


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body: unknown fields are refused."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A response's body."""
