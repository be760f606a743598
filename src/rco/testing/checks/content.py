"""Small content: what was acknowledged is found from then on, at every node, and ends where objects are kept."""

from __future__ import annotations

from collections.abc import Iterator

from rco.kit.digest import content_address
from rco.objects.content import key_of
from rco.testing.checks.history import History

__all__ = ["kept"]


def kept(history: History) -> Iterator[str]:
    """Whoever was asked had it, and whole; in the end all of it has been moved, and nothing waits any more."""
    for one in history.got:
        if one.got is None:
            yield f"{one.address} was acknowledged, and {one.node} knew nothing of it at {one.at_s:.3f}"
        elif one.got != one.put:
            yield f"{one.address} is {one.put!r}, and {one.node} gave {one.got!r} at {one.at_s:.3f}"
    if history.stuck:
        return
    for key in sorted(history.tables.staged):
        yield f"{key} still waits to be moved"
    for address, data in history.put.items():
        if content_address(data) != address or not history.depot.get(key_of(address), b"").endswith(data):
            yield f"{address} was acknowledged, and is not where objects are kept"
