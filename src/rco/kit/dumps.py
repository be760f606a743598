"""No crash dump of a process that holds secrets in memory."""

from __future__ import annotations

import resource

__all__ = ["forbid_dumps"]


def forbid_dumps() -> None:
    """Let the system write no core file of this process and of those it starts. A second call has no effect."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
