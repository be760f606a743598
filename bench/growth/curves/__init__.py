"""One curve a file; each holds ``CURVE``. The order is that of the page."""

from __future__ import annotations

from importlib import import_module

from bench.growth.curve import Curve

__all__ = ["NAMES", "curve"]

NAMES = ("closed", "length", "payload", "nodes", "parked", "timers")


def curve(name: str) -> Curve:
    """Raises ``KeyError`` for a name that is not in ``NAMES``."""
    if name not in NAMES:
        raise KeyError(name)
    found: Curve = import_module(f"bench.growth.curves.{name}").CURVE
    return found
