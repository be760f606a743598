"""Look at dead letters."""

from __future__ import annotations

from rco.model.principal import Principal, Role
from rco.model.wire_events import LetterPage
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.view import letter_view

__all__ = ["PAGE_MAX", "list_letters"]

PAGE_MAX = 500


async def list_letters(desk: Desk, principal: Principal, *, replayed: bool = False, limit: int = 50) -> LetterPage:
    """Dead letters, newest first, without the data of their events. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    letters = await desk.reader.letters(principal.namespace, replayed, max(1, min(limit, PAGE_MAX)))
    return LetterPage(items=[letter_view(letter) for letter in letters])
