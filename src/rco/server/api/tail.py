"""/v1/tail: what is decided, as it is decided."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from rco.errors import Overloaded
from rco.model.wire_audit import TailPage
from rco.operations.tail import ITEMS_MAX, SINCE_MAX_S, WAIT_MAX_S, tail
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]

TAILS_MAX = 16
"""So many may wait at one time: each looks into the store twice a second."""
SINCE_DEFAULT_S = 900.0


@get("/v1/tail", tags=["audit"], operation_id="tail", responses=ERRORS)
async def follow(
    request: Ask,
    topic: Annotated[str, QueryParameter(max_length=64)] = "svc-interop",
    since: Annotated[float, QueryParameter(ge=0, le=SINCE_MAX_S)] = SINCE_DEFAULT_S,
    after: Annotated[str | None, QueryParameter(max_length=8192)] = None,
    wait: Annotated[float, QueryParameter(ge=0, le=WAIT_MAX_S)] = 0.0,
    limit: Annotated[int, QueryParameter(ge=1, le=ITEMS_MAX)] = 100,
) -> TailPage:
    """Decisions as events, from ``since`` seconds ago, or after the ``next`` of the page before. Waits up to ``wait``
    seconds for something to come. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    state = request.app.state
    waiting = state.get("tails", 0)
    if waiting >= TAILS_MAX:
        raise Overloaded(f"{waiting} tails wait already, the limit.", cure="Close some.")
    state["tails"] = waiting + 1
    try:
        return await tail(desk, principal, topic=topic, since_s=since, after=after, wait_s=wait, limit=limit)
    finally:
        state["tails"] -= 1


ROUTES = [follow]
