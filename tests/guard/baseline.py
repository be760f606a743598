"""What each hot path cost when somebody last looked, by the interpreter's minor version."""

from __future__ import annotations

import json
import sys
from pathlib import Path

__all__ = ["ALLOWED", "VERSION", "read", "verdict", "write"]

_PATH = Path(__file__).with_name("baseline.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ALLOWED = 0.10
"""More than this above the baseline is a failure."""


def read() -> dict[str, dict[str, int]]:
    """Costs by version and path."""
    return json.loads(_PATH.read_text()) if _PATH.exists() else {}


def write(costs: dict[str, int]) -> None:
    """Make ``costs`` the baseline of this interpreter."""
    _PATH.write_text(json.dumps(read() | {VERSION: costs}, indent=2) + "\n")


def verdict(name: str, cost: float, baseline: int) -> str:
    """Why ``cost`` is too much, or ``""``."""
    if cost <= baseline * (1 + ALLOWED):
        return ""
    return (
        f"{name}: {cost:.0f}, {cost / baseline - 1:+.1%} against the baseline of {baseline}. Find what was added to "
        "the path; if it is worth its price, `make guard` writes the new baseline, and the commit says why."
    )
