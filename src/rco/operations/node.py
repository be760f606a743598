"""What this node says of itself."""

from __future__ import annotations

from rco.model.principal import Principal, Role
from rco.model.run import Mode
from rco.model.wire import NodeInfo
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.store.contract.reader import RunFilter

__all__ = ["node_info"]


async def node_info(desk: Desk, principal: Principal) -> NodeInfo:
    """Version, workflows and load. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    if principal.everywhere:
        counts = await desk.reader.count_open()
    else:
        # How much others have open is not the business of who is bound.
        own = [RunFilter(namespace=principal.namespace, mode=mode) for mode in Mode if mode is not Mode.CLOSED]
        counts = {where.mode: await desk.reader.count_runs(where) for where in own if where.mode is not None}
    return NodeInfo(
        version=desk.info.get("version", ""),
        node=desk.info.get("node", ""),
        epoch=int(desk.info.get("epoch", "0")),
        namespace=principal.namespace,
        workflows=desk.engine.workflows(),
        open_runs={Mode(mode).name.lower(): count for mode, count in counts.items()},
        backlog=desk.writer.backlog,
        draining=desk.engine.draining,
    )
