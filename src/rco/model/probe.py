"""A probe: how the other side is asked whether something that may not be repeated was done.

Whoever declares one says what to ask; the engine asks while the run is *in doubt*, and settles it by what it is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from rco.model.effect import Answer, Attempt

__all__ = ["Applied", "NotApplied", "Probing"]


class Applied(msgspec.Struct, frozen=True):
    """It was done, and this is what the step is worth: plain data."""

    value: Any = None


class NotApplied(msgspec.Struct, frozen=True):
    """It was not done. Believed only when a request that was on its way must have arrived: see ``grace_s``."""


class Probing(msgspec.Struct, frozen=True):
    """What the engine knows of a probe. ``ask`` gets the attempt that is in doubt, with its idempotency key. The value
    of its answer is ``Applied``, ``NotApplied``, or ``None`` when it cannot tell yet; what it raises counts as that.

    ``grace_s``: as long after the doubt a request may still be on its way. ``absent``: what is done when nothing had
    been done by then: ``again``, or ``failed``. ``attempts``: so often it is asked, ever less often; then a person must
    settle.
    """

    ask: Callable[[Attempt], Awaitable[Answer]]
    grace_s: float = 10.0
    absent: Literal["again", "failed"] = "again"
    attempts: int = 12
