"""One drill a file; each holds ``DRILL``. The order is that of the list."""

from __future__ import annotations

from importlib import import_module

from rco.drills.drill import Drill
from rco.errors import NotFound

__all__ = ["NAMES", "drill"]

NAMES = (
    "slow-upstream",
    "failing-upstream",
    "queue-saturation",
    "burst",
    "sender-skew",
    "process-skew",
    "kill",
)


def drill(name: str) -> Drill:
    """Raises ``NotFound`` for a name that is not in ``NAMES``."""
    if name not in NAMES:
        raise NotFound(f"there is no drill {name!r}.", cure=f"There are: {', '.join(NAMES)}.")
    found: Drill = import_module(f"rco.drills.drills.{name.replace('-', '_')}").DRILL
    return found
