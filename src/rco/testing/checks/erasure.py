"""What was encrypted under a key that was erased can be read by nobody, nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.run import Mode
from rco.testing.checks.history import History
from rco.testing.secrecy import NAMESPACE, opens
from rco.testing.tenant import MARK

__all__ = ["complete"]

FORGOTTEN_WITHIN_S = 1.0
"""So long after the erasure a node may still open what it has read before. By its own clock."""


def complete(history: History) -> Iterator[str]:
    """No table holds a word of what was confided, the key's bytes are gone, no node has shown anything of it to who
    asked a second after the erasure or later, and what is open of it is blocked."""
    if not history.plan.erasure:
        return
    tables = history.tables
    for name in tables.__struct_fields__:
        if MARK in repr(getattr(tables, name)):
            yield f"{name} holds what was confided, as it is"
    if history.erased_s is None:
        return
    for key in tables.namespace_keys:
        if key.wrapped or opens(key):
            yield f"key {key.key_id.hex()} is there, and was erased at {history.erased_s:.3f}"
    late_s = history.erased_s + FORGOTTEN_WITHIN_S * (1 + 2 * history.plan.drift)
    for one in history.looks:
        if one.readable and one.at_s > late_s:
            yield f"{one.node} was asked at {one.at_s:.3f} and read what was erased at {history.erased_s:.3f}"
    for row in tables.runs.values():
        if row.namespace == NAMESPACE and row.mode is not Mode.BLOCKED:
            yield f"run {row.run_id.hex()} of the erased namespace is {Mode(row.mode).name}"
