"""Recent: the newest decisions, from the memory of this node."""

from __future__ import annotations

import msgspec

from rco.errors import NotFound
from rco.model.principal import Principal, Role
from rco.model.wire_audit import RecentAudit, RecordView
from rco.operations.access import require_everywhere
from rco.operations.desk import Desk

__all__ = ["RECENT_MAX", "recent"]

RECENT_MAX = 1000


def recent(desk: Desk, principal: Principal, limit: int) -> RecentAudit:
    """The newest ``limit`` decisions of this node. Needs the administrator's role, as they span namespaces. Raises
    ``NotFound`` where the memory is not among the sinks."""
    require_everywhere(principal, Role.ADMIN)
    trail = desk.trail
    if trail is None or trail.ring is None:
        raise NotFound(
            "no decisions are kept in memory.", cure='Add "memory" to audit.sinks; /v1/tail reads the store.'
        )
    items = [
        RecordView(n=one.n, prev=one.prev, hash=one.hash, decision=msgspec.json.decode(one.decision))
        for one in trail.ring.newest(min(limit, RECENT_MAX))
    ]
    return RecentAudit(items=items, displaced=trail.ring.displaced, sinks=[sink.seen() for sink in trail.sinks])
