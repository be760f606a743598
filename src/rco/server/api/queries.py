"""What stands behind the question mark: only what the route knows. A filter that is misspelt and passed over would
answer another question than was asked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from rco.errors import Reason, Refused

__all__ = ["only_known"]

SHOWN_MAX = 40
HANDLERS_MAX = 256


def only_known(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard of every route. Raises ``Refused`` (400) for the first name in the query that its route does not have."""
    if not connection.scope["query_string"]:
        return
    known = _known(handler)
    for name in connection.query_params:
        if name not in known:
            there = f"It knows {', '.join(sorted(known))}." if known else "It takes none."
            raise Refused(Reason.MALFORMED, "query_unknown", f"{name[:SHOWN_MAX]}: not a parameter of this. {there}")


@lru_cache(maxsize=HANDLERS_MAX)
def _known(handler: BaseRouteHandler) -> frozenset[str]:
    found = handler.parsed_fn_signature.parameters.items()
    kinds = ((name, field.kwarg_definition) for name, field in found)
    return frozenset(kind.name or name for name, kind in kinds if isinstance(kind, QueryParameter))
