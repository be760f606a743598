"""/v1/dead-letters: list, show, replay, dismiss."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from rco.model.wire_events import DismissAsk, LetterDetail, LetterPage, LetterView, Replayed
from rco.operations.dismiss import dismiss_letter
from rco.operations.inspect_letters import PAGE_MAX, list_letters, show_letter
from rco.operations.redeliver import redeliver_letter
from rco.server.api.asked import ERRORS, Ask, asked, identity

__all__ = ["ROUTES"]


@get("/v1/dead-letters", tags=["dead letters"], operation_id="listDeadLetters", responses=ERRORS)
async def letters(
    request: Ask,
    replayed: FromQuery[bool] = False,
    after: Annotated[str | None, QueryParameter(max_length=40)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> LetterPage:
    """Events that a subscription could not take, newest first; ``after`` is the ``next`` of the page before.
    ``replayed``: those that were sent again, or dismissed, instead."""
    desk, principal, _, _ = asked(request)
    behind = None if after is None else identity(after, "after")
    return await list_letters(desk, principal, replayed=replayed, after=behind, limit=limit)


@get("/v1/dead-letters/{letter_id:str}", tags=["dead letters"], operation_id="showDeadLetter", responses=ERRORS)
async def letter(request: Ask, letter_id: FromPath[str]) -> LetterDetail:
    """One dead letter with its event's data. Needs the operator's role."""
    desk, principal, _, _ = asked(request)
    return await show_letter(desk, principal, identity(letter_id, "letter_id"))


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


@post(
    "/v1/dead-letters/{letter_id:str}/dismiss",
    tags=["dead letters"],
    operation_id="dismissDeadLetter",
    status_code=200,
    responses=ERRORS,
)
async def dismiss(request: Ask, letter_id: FromPath[str], data: JSONBody[DismissAsk]) -> LetterView:
    """Take a letter that nobody will take any more off the list: it is not sent again. Needs the operator's role."""
    desk, principal, _, _ = asked(request)
    return await dismiss_letter(desk, principal, identity(letter_id, "letter_id"), data.reason)


ROUTES = [letters, letter, replay, dismiss]
