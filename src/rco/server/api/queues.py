"""/v1/queues: list, show, pause, resume."""

from __future__ import annotations

from litestar import get, post
from litestar.params import FromPath, JSONBody

from rco.model.wire_queues import QueuePage, QueueView, SteerQueue
from rco.operations.queues import list_queues, pause_queue, resume_queue, show_queue
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]


@get("/v1/queues", tags=["queues"], operation_id="listQueues", responses=ERRORS)
async def queues(request: Ask) -> QueuePage:
    """Every queue and how it stands, over all nodes."""
    desk, principal, _, _ = asked(request)
    return await list_queues(desk, principal)


@get("/v1/queues/{name:str}", tags=["queues"], operation_id="showQueue", responses=ERRORS)
async def queue(request: Ask, name: FromPath[str]) -> QueueView:
    """One queue, with the fairness keys that wait."""
    desk, principal, _, _ = asked(request)
    return await show_queue(desk, principal, segment(name))


@post("/v1/queues/{name:str}/pause", tags=["queues"], operation_id="pauseQueue", status_code=200, responses=ERRORS)
async def pause(request: Ask, name: FromPath[str], data: JSONBody[SteerQueue]) -> QueueView:
    """Give no turns any more: what runs goes on, what comes waits."""
    desk, principal, _, _ = asked(request)
    return await pause_queue(desk, principal, segment(name), data.reason)


@post("/v1/queues/{name:str}/resume", tags=["queues"], operation_id="resumeQueue", status_code=200, responses=ERRORS)
async def resume(request: Ask, name: FromPath[str], data: JSONBody[SteerQueue]) -> QueueView:
    """Let a paused queue go on."""
    desk, principal, _, _ = asked(request)
    return await resume_queue(desk, principal, segment(name), data.reason)


ROUTES = [queues, queue, pause, resume]
