"""How a line grows: the exponent of the power law that fits it best (least squares of the logarithms)."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["named", "slope"]

_FLAT = 0.05


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The exponent k of value ~ size^k: 0 is flat, 1 in proportion. ``None`` for fewer than two sizes."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    found = sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
    # No minus before a zero.
    return round(found, 2) + 0.0


def named(found: float) -> str:
    """The exponent in words."""
    if abs(found) <= _FLAT:
        return "flat"
    if found < 0:
        return "falls"
    if found < 0.9:
        return "grows more slowly than in proportion"
    return "in proportion" if found <= 1.1 else "grows faster than in proportion"
