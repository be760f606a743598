"""What a file in ``drills/drills`` holds: ``DRILL``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rco.drills.load import Load, mixed
from rco.drills.size import Size
from rco.drills.stage import Stage

__all__ = ["BROWNOUT", "NOTHING", "UNHURRIED", "Drill"]

BROWNOUT = "brownout"
NOTHING = ""
UNHURRIED = {"brownout": {"thresholds": {"upstream_p95_ms": 5_000}}}
"""For what does not drill the time that the store takes: a machine that others use would brown out over it."""


async def _nothing(_: Stage) -> None:
    """The load is the fault."""


def _same(size: Size) -> Load:
    return mixed("fault", size.rate_per_s)


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One drill.

    ``writes``: how writes are refused while the fault lasts: by a ``BROWNOUT``, for a reason of the closed set (that is
    answered at once and to the sender's own doing), or by ``NOTHING``. ``strike`` begins the fault, ``lift`` ends it;
    ``under`` is the load meanwhile. ``anywhere``: it can meet a deployment as well, as nothing is done to its process.
    """

    name: str
    about: str
    """The fault, in a few words."""
    expects: str
    """What must be seen, in a sentence."""
    writes: str = BROWNOUT
    causes: tuple[str, ...] = ()
    """Of the brownout: one of these is among them."""
    strike: Callable[[Stage], Awaitable[None]] = _nothing
    lift: Callable[[Stage], Awaitable[None]] = _nothing
    under: Callable[[Size], Load] = _same
    settings: Callable[[Size], dict[str, dict[str, Any]]] = lambda _: {}
    """Of the service of the drill's own, by section."""
    anywhere: bool = False
    kills: bool = False
    skewed_s: float = 0.0
    """How far times in the evidence may be apart."""
