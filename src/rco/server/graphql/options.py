"""What can be set about ``/graphql``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["GraphqlOptions"]


class GraphqlOptions(msgspec.Struct, frozen=True, kw_only=True):
    """GraphQL over HTTP, without subscriptions. Needs the extra `graphql`; changes with a restart."""

    enabled: bool = False
    """Whether `/graphql` is there."""
    mutations: Literal["capability", "principals", "off"] = "capability"
    """Who may start, signal and cancel runs: who shows a capability for it, operators as well, or nobody."""
    introspection: bool = False
    """Whether the schema may be asked for. `rco dev` always allows it; docs/reference/schema.graphql has it."""
    depth_limit: Annotated[int, Meta(ge=2, le=50)] = 10
    """How deep a query may nest."""
    alias_limit: Annotated[int, Meta(ge=0, le=1000)] = 15
    """How many fields of a query may be asked for under another name."""
    token_limit: Annotated[int, Meta(ge=50, le=100_000)] = 1000
    """How many words and signs a query may have."""
    batch_limit: Annotated[int, Meta(ge=1, le=100)] = 5
    """How many queries one request may hold."""
    page_limit: Annotated[int, Meta(ge=1, le=500)] = 100
    """The largest page of a connection."""
    node_limit: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """How many things one request may ask for in all, a page counting as its size."""
    answer_limit_bytes: Annotated[int, Meta(ge=1024, le=256 << 20)] = 4 << 20
    """The largest answer."""
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0
    """A request that is not answered within it is given up."""
