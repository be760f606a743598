"""What a node is born with, and where it then listens: known to the node and to its parent."""

from __future__ import annotations

import msgspec

__all__ = ["Birth", "address"]


class Birth(msgspec.Struct, frozen=True):
    """``trap`` is ``POINT:N`` or empty."""

    config: str
    log: str
    environ: dict[str, str]
    trap: str = ""


def address(pid: int) -> str:
    """The abstract Unix socket of a node."""
    return f"\0rco-crash-{pid}"
