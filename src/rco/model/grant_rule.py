"""A grant rule: who gets which rights. Configuration, read by whoever turns events and principals into capabilities."""

from __future__ import annotations

import msgspec

__all__ = ["GrantRule"]


class GrantRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gives ``scopes`` to each of ``to``. Rules only add: what no rule gives is not allowed.

    ``to`` names origins, each exactly or by its beginning when it ends in ``*``: ``provider:NAME`` (its verified
    events), ``run:WORKFLOW`` (events that its runs emit), ``principal:ID`` and ``role:ROLE`` (runs that they start),
    ``schedule:NAME`` (runs that it starts), ``before`` (runs that began before capabilities were enforced).
    ``subscription`` narrows the rule to what that subscription starts.
    """

    to: list[str]
    scopes: list[str]
    subscription: str = "*"
