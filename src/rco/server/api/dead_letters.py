"""/v1/dead-letters: list, replay."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from rco.model.wire_events import LetterPage, Replayed
from rco.operations.inspect_letters import PAGE_MAX, list_letters
from rco.operations.redeliver import redeliver_letter
from rco.server.api.asked import ERRORS, Ask, asked, identity

__all__ = ["ROUTES"]


@get("/v1/dead-letters", tags=["dead letters"], operation_id="listDeadLetters", responses=ERRORS)
async def letters(
    request: Ask,
    replayed: FromQuery[bool] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> LetterPage:
    """Events that a subscription could not take, newest first. ``replayed``: those that were sent again instead."""
    desk, principal, _, _ = asked(request)
    return await list_letters(desk, principal, replayed=replayed, limit=limit)


@post(
    "/v1/dead-letters/{letter_id:str}/replay",
    tags=["dead letters"],
    operation_id="replayDeadLetter",
    status_code=202,
    responses=ERRORS,
)
async def replay(request: Ask, letter_id: FromPath[str]) -> Replayed:
    """Give the event to the subscription that could not take it, once."""
    desk, principal, _, _ = asked(request)
    return Replayed(opened=await redeliver_letter(desk, principal, identity(letter_id, "letter_id")))


ROUTES = [letters, replay]
