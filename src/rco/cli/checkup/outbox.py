"""Outboxes in databases of the users' own: what waits in them, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator

from rco.cli.checkup.report import Found, ok, warn
from rco.cli.userbase import UserBase, on
from rco.datasource.outbox import LAG

__all__ = ["lag"]

LATE_S = 60.0


def lag(name: str, base: UserBase) -> Iterator[Found]:
    """The age of the oldest entry, and the dead letters."""
    waiting, lag_s, letters = on(base, lambda connection: connection.fetchrow(LAG))
    said = f"{waiting} wait, the oldest for {lag_s:.1f} s"
    if waiting and lag_s > LATE_S:
        cure = "See that a node runs with this outbox, its log for outbox.failed, and rco outbox status."
        yield warn(f"outbox {name}", said, cure)
    else:
        yield ok(f"outbox {name}", said)
    if letters:
        cure = f"rco outbox letters {base.shown}; cure the cause; rco outbox retry {base.shown} ENTRY"
        yield warn(f"outbox {name}", f"{letters} dead letters", cure)
