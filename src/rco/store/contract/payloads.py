"""Which objects of the object store rows refer to: written by the commit that refers to them, read by who collects
what nobody refers to any more.

Nothing takes a use back. It counts for as long as what it names is there, so whoever removes a run, an event or a dead
letter need not know of objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Protocol

import msgspec

from rco.model.payload import Reference

__all__ = ["PayloadRows", "PayloadUse", "UserKind", "run_uses"]


class UserKind(IntEnum):
    """What refers to an object. A number is never used again for something else."""

    RUN = 0
    """``who`` is the run's identity: its journal, its inbox, or what it closed with."""
    EVENT = 1
    """``who`` is the event's id as UTF-8, in ``namespace``."""
    LETTER = 2
    """``who`` is the dead letter's identity."""
    SCHEDULE = 3
    """``who`` is the schedule's identity. It counts for as long as the schedule's row names this object: one that was
    given another input uses the old no more."""


class PayloadUse(msgspec.Struct, frozen=True):
    """Something refers to the object ``name``. Written twice it is the same."""

    name: bytes
    kind: UserKind
    who: bytes
    namespace: str = "default"
    size_bytes: int = 0
    """Of the payload: what it counts in its namespace's quota of stored bytes."""
    again: bool = False
    """Something else referred to it before, and it was counted with that. Not stored."""


def run_uses(
    run_id: bytes, references: Iterable[Reference], namespace: str, *, again: bool = False
) -> list[PayloadUse]:
    """That the run refers to these. ``again``: so did somebody before."""
    return [PayloadUse(one.name, UserKind.RUN, run_id, namespace, one.size_bytes, again) for one in references]


class PayloadRows(Protocol):
    async def payload_space(self) -> str:
        """What this database's objects stand under, so that two databases never collect each other's: 16 hexadecimal
        digits, made with its schema."""
        ...

    async def any_payloads(self) -> bool:
        """Whether anything was ever written by reference, and not forgotten since."""
        ...

    async def payloads_used(self, names: list[bytes]) -> set[bytes]:
        """Those of ``names`` that something refers to which is there: an open or closed run, an event, a letter, a
        schedule."""
        ...

    async def forget_payloads(self, names: list[bytes]) -> None:
        """Forget the uses of objects that are gone. Those that something refers to are left alone."""
        ...
