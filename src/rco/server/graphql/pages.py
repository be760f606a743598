"""Connections: pages that go on behind a cursor (https://relay.dev/graphql/connections.htm), forwards only.

A cursor is opaque to who gets it: what the store calls the place, packed so that nobody builds on its form.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Generic, TypeVar

import strawberry

from rco.errors import Reason, Refused

__all__ = ["Connection", "Edge", "PageInfo", "connection", "opened"]

T = TypeVar("T")
CURSOR_MAX = 200


@strawberry.type(description="Where a page ends, and whether there is more behind it.")
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type(description="One thing of a page.")
class Edge(Generic[T]):
    cursor: str
    node: T


@strawberry.type(description="A page. Give `pageInfo.endCursor` as `after` for the next one.")
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo

    @strawberry.field(description="The things themselves, without their cursors.")
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]


def connection(found: Iterable[tuple[str, T]], more: bool, end: str | None = None) -> Connection[T]:
    """The page of ``found``, each with its place. ``end``: where the next page begins, when not behind the last."""
    edges = [Edge(cursor=_closed(place), node=node) for place, node in found]
    last = _closed(end) if end is not None else edges[-1].cursor if edges else None
    return Connection(edges=edges, page_info=PageInfo(has_next_page=more, end_cursor=last))


def _closed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def opened(cursor: str | None) -> str | None:
    """The place behind a cursor. Raises ``Refused`` for what is none."""
    if cursor is None:
        return None
    try:
        if len(cursor) > CURSOR_MAX:
            raise ValueError
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise Refused(Reason.MALFORMED, "bad_cursor", "after: not the cursor of a page.") from None
