"""The one door to the interpreter's garbage collector."""

from __future__ import annotations

import gc

__all__ = ["settle"]

YOUNG = 50_000
"""Objects that may come on top before the young ones are looked through. A flush of a thousand runs makes about half
as many, and most of them are gone again before the next one."""


def settle() -> None:
    """Call once a service has started: what is there now is there to stay, and what comes is mostly short-lived.

    CPython looks for cycles whenever 700 containers more exist than at the last look; a busy service passes that
    several times in each commit, and every look walks objects that reference counting is about to free anyway. So
    what was loaded at the start is never looked at again (``gc.freeze``), and the young ones are looked at less often.
    Cycles are still found. A second call freezes what came since. What it gains is in
    ``docs/decisions/0005-what-the-profile-showed.md``.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
