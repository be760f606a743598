"""A subscription: who wants which events, and what happens then."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rco.model.queue import PRIORITIES

__all__ = ["Subscription"]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Starts ``workflow`` for each event that matches.

    ``type`` and ``source`` match exactly, or by prefix when they end in ``*``; ``where`` is a jq expression over the
    event (``.data``, ``.type``, ``.subject`` ...) that must give a value other than ``false`` and ``null``.
    ``key`` is a jq expression giving the idempotency key of the start; without it the event's source and id are used.
    ``queue``: where the run waits, instead of the workflow's own; ``fair_key`` is a jq expression giving whose turn it
    takes there, ``priority`` goes from 0 (first) to 9.
    """

    name: str
    workflow: str
    type: str
    source: str = "*"
    where: str | None = None
    key: str | None = None
    queue: str | None = None
    fair_key: str | None = None
    priority: Annotated[int, Meta(ge=0, lt=PRIORITIES)] | None = None
    namespace: str = "default"
