"""News: rare changes that every node has to know of soon, so that nobody asks every moment whether there are any."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

__all__ = ["News", "Topic"]


class Topic(StrEnum):
    """What may have changed."""

    ENDPOINTS = "endpoints"
    NAMESPACES = "namespaces"
    CLOSED = "closed"
    """States of limits of the kind ``limit_states.CLOSED``."""
    SCHEDULES = "schedules"
    """A schedule is due at once: somebody changed it on another node."""


class News(Protocol):
    def on_news(self, topic: Topic, listener: Callable[[], None]) -> bool:
        """Call ``listener()`` when another process may have committed a change of ``topic``: at once, and at the worst
        by the next slow poll. Also where nothing has changed.

        Whether it will: ``False`` where there is nobody else, or no way to be told; who must know then looks for
        itself. Call it after ``start``, and before the first look at what changes.
        """
        ...
