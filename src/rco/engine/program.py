"""Programs: what the engine can run, written in Python or interpreted from a document; the engine sees only this."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from rco.engine.machine import Machine
from rco.errors import NotFound

__all__ = ["Begin", "Program", "Programs", "StartBody"]

StartBody = dict[str, Any]
"""The body of a START record: workflow, version, input, actor, corr_id, trace, namespace, parent, event_id, grant."""
Begin = Callable[[Machine, bytes, StartBody], Coroutine[Any, Any, Any]]


class Program:
    """A named, versioned piece of code. ``begin(machine, run id, start body)`` gives the coroutine that the machine
    drives; it awaits only engine operations, whose keys it chooses itself, the same way each time."""

    __slots__ = ("begin", "name", "queue", "version")

    def __init__(self, name: str, version: str, begin: Begin, queue: str = "") -> None:
        """``queue``: where its runs wait when a start names none."""
        self.name, self.version, self.begin, self.queue = name, version, begin, queue


class Programs:
    """The programs of an application. Replaced as a whole when the application is reloaded."""

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        self._by_name: dict[str, Program] = {}
        self.replace(programs)

    def replace(self, programs: Iterable[Program]) -> None:
        """Take ``programs`` instead of what was there."""
        self._by_name = {program.name: program for program in programs}

    def names(self) -> list[str]:
        """Those that may be started by name: what begins with ``rco.`` is the service's own."""
        return sorted(name for name in self._by_name if not name.startswith("rco."))

    def find(self, name: str) -> Program | None:
        return self._by_name.get(name)

    def get(self, name: str) -> Program:
        """The program, or ``NotFound`` with the names there are."""
        program = self._by_name.get(name)
        if program is None:
            known = ", ".join(self.names()[:20]) or "none"
            raise NotFound(f"no workflow named {name!r}.", cure=f"This application has: {known}.")
        return program
