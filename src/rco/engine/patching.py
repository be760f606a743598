"""Patches: code that changed asks whether this run is to go the new way.

A run that comes to the question for the first time goes the new way, and a PATCH record says so. One whose journal goes
on without that record had passed this place in the old code: it goes the old way, in this replay and in every other.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NoReturn

from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.operation import Operation
from rco.engine.owner import Owner
from rco.errors import Misuse
from rco.kit.canonical import fingerprint
from rco.model.journal import Kind, Record

__all__ = ["Patch", "Patched", "Patches"]


class Patch(Operation[bool]):
    """Ask once. Resolves to ``True`` by its record; the machine declines it with ``False`` when the journal goes on
    without one."""

    __slots__ = ("name",)
    declinable = True

    def __init__(self, key: str, name: str) -> None:
        super().__init__(key, fingerprint("patch", name))
        self.name = name

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:  # noqa: ARG002 - it says no more
        return True, None

    def describe(self) -> str:
        return f"patched {self.name!r}"


class Patched:
    """What ``ctx.patched`` gives: awaited, the same answer each time in one run."""

    __slots__ = ("_key", "_known", "_name")

    def __init__(self, machine: Machine, name: str, key: str) -> None:
        self._known, self._name, self._key = machine.patches, name, key

    def __await__(self) -> Generator[Any, Any, bool]:
        known = self._known.get(self._name)
        if known is None:
            known = yield from Patch(self._key, self._name).__await__()
            known = self._known.setdefault(self._name, known)
        return known

    def __bool__(self) -> NoReturn:
        raise Misuse(
            f"ctx.patched({self._name!r}) was not awaited, so it would always hold.",
            cure="Write: if await ctx.patched(name): ...",
        )


class Patches:
    """Writes down that a run goes the new way."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def arm(self, live: Live, op: Patch) -> None:
        now = self._owner.clock.now_us()
        self._owner.append(live, Record(Kind.PATCH, op.key, now, op.fp, op.name))

    def drop(self, live: Live, op: Patch) -> None:
        """It resolves as it is armed; nothing can be pending."""
