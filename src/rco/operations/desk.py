"""The desk: what every operation works with, wired once by ``rco.app`` and passed first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Writer

__all__ = ["Desk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything an operation may reach, and nothing else.

    It is a value: a configuration change makes a new desk (``dataclasses.replace``), it never edits one.
    """

    engine: Any
    """``rco.engine``: open, wake and await runs."""
    writer: Writer
    reader: Reader
    router: Any
    """``rco.router.table.RoutingTable``: which subscriptions match an event."""
    targets: Any
    """``rco.egress.client.Egress``: the targets and their state."""
    clock: Clock
    ids: Ids
    metrics: Any
    log: logging.Logger
    namespace: str = "default"
    info: Mapping[str, str] = field(default_factory=dict)
    """What this node says of itself: ``node``, ``version``."""
