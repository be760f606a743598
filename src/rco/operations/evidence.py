"""Hand out evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rco.audit.export import export, export_run
from rco.encryption.revealing import stored
from rco.model.principal import Principal, Role
from rco.operations.access import require_everywhere
from rco.operations.command import find_run
from rco.operations.desk import Desk
from rco.payloads.fetching import unfetched

__all__ = ["export_evidence", "export_run_evidence"]


def export_evidence(
    desk: Desk, principal: Principal, *, first_n: int = 1, last_n: int | None = None, journal: bool = False
) -> AsyncIterator[bytes]:
    """The chain as JSON lines, as ``rco.audit.verify`` checks them. ``journal`` adds what runs did, payloads included.

    Needs the administrator's role over all namespaces, which the chain spans. Raises ``Forbidden`` at once, the rest
    while iterated.
    """
    require_everywhere(principal, Role.ADMIN)
    return export(stored(unfetched(desk.reader)), first_n=first_n, last_n=last_n, journal=journal)


async def export_run_evidence(desk: Desk, principal: Principal, run_id: bytes) -> AsyncIterator[bytes]:
    """The proof of one run. Needs the administrator's role over all namespaces: a link holds the decisions of every
    namespace that it was written for. ``NotFound`` before the first line."""
    require_everywhere(principal, Role.ADMIN)
    await find_run(desk, principal, run_id)
    return export_run(stored(unfetched(desk.reader)), run_id)
