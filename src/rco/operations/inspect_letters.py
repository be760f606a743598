"""Look at dead letters."""

from __future__ import annotations

from rco.errors import NotFound
from rco.kit.ids import id_text
from rco.model.letter import DeadLetter
from rco.model.principal import Principal, Role
from rco.model.wire_events import LetterDetail, LetterPage
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.view import letter_detail, letter_view

__all__ = ["PAGE_MAX", "find_letter", "list_letters", "show_letter"]

PAGE_MAX = 500


async def find_letter(desk: Desk, principal: Principal, letter_id: bytes) -> DeadLetter:
    """The dead letter. Raises ``NotFound`` when this namespace has none with that id."""
    letter = await desk.reader.letter(letter_id)
    if letter is None or letter.event.namespace != principal.namespace:
        raise NotFound(f"no dead letter {id_text(letter_id)}.", cure="See `rco letters list`.")
    return letter


async def list_letters(
    desk: Desk, principal: Principal, *, replayed: bool = False, after: bytes | None = None, limit: int = 50
) -> LetterPage:
    """One page of dead letters, newest first, without the data of their events; ``after`` is the ``next`` of the page
    before. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    limit = max(1, min(limit, PAGE_MAX))
    found = await desk.reader.letters(principal.namespace, replayed, limit + 1, after)
    items = [letter_view(letter) for letter in found[:limit]]
    return LetterPage(items=items, next=items[-1].id if len(found) > limit else None)


async def show_letter(desk: Desk, principal: Principal, letter_id: bytes) -> LetterDetail:
    """One dead letter with its event's data. Needs the operator's role: data may be about people."""
    require(principal, Role.OPERATOR)
    return letter_detail(await find_letter(desk, principal, letter_id))
