"""A subscription: who wants which events, and what happens then."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rco.model.queue import PRIORITIES

__all__ = ["Publish", "Subscription"]

Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Publish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sends the event to ``topic`` of ``broker``, as a CloudEvent, at least once. ``key``: a jq expression over the
    event; messages with the same key keep their order. Without it the event's subject, or its source, is the key."""

    broker: str
    topic: Topic
    key: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Starts ``workflow`` for each event that matches, or sends the event to a broker (``publish``): one of both.

    ``type`` and ``source`` match exactly, or by prefix when they end in ``*``; ``where`` is a jq expression over the
    event (``.data``, ``.type``, ``.subject`` ...) that must give a value other than ``false`` and ``null``.
    ``key`` is a jq expression giving the idempotency key of the start; without it the event's source and id are used.
    ``queue``: where the run waits, instead of the workflow's own; ``fair_key`` is a jq expression giving whose turn it
    takes there, ``priority`` goes from 0 (first) to 9.
    """

    name: str
    workflow: str = ""
    publish: Publish | None = None
    type: str
    source: str = "*"
    where: str | None = None
    key: str | None = None
    queue: str | None = None
    fair_key: str | None = None
    priority: Annotated[int, Meta(ge=0, lt=PRIORITIES)] | None = None
    namespace: str = "default"
