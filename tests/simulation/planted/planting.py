"""What a planted bug is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["Plant", "Planted"]

Plant = Callable[[pytest.MonkeyPatch], None]
Planted = tuple[Plant, str, dict[str, Any]]
"""What plants it, the rule that finds it, and what the plan of a world says differently for that. ``from``: the first
world that is looked at, where those before it are known not to show it."""
