"""Programs: what the engine can run, written in Python or interpreted from a document; the engine sees only this."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from rco.engine.machine import Machine
from rco.errors import NotFound
from rco.model.version import is_pin, named

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
    """The programs that this node can run: those that new runs begin with, and beside them, by version, those of every
    version in its *pool*. Replaced as a whole when the application is reloaded.

    Without a pool the node takes every run and drives it by the code there is, whatever version it began with.
    """

    def __init__(self, programs: Iterable[Program] = (), pool: Mapping[str, Iterable[Program]] | None = None) -> None:
        self._by_name: dict[str, Program] = {}
        self._pool: dict[str, dict[str, Program]] = {}
        self.pool: frozenset[str] | None = None
        """The pins of the runs that may be driven here; ``None``: all."""
        self.replace(programs, pool)

    def replace(self, programs: Iterable[Program], pool: Mapping[str, Iterable[Program]] | None = None) -> None:
        """Take ``programs`` for new runs, and ``pool`` by pin, instead of what was there."""
        self._by_name = {program.name: program for program in programs}
        self._pool = {pin: {program.name: program for program in among} for pin, among in (pool or {}).items()}
        self.pool = None if pool is None else frozenset(pool)

    def has(self, version: str) -> bool:
        """Whether a run of this version may be driven here."""
        return self.pool is None or version in self.pool or not is_pin(version)

    def names(self) -> list[str]:
        """Those that may be started by name: what begins with ``rco.`` is the service's own."""
        return sorted(name for name in self._by_name if not name.startswith("rco."))

    def find(self, name: str, version: str = "") -> Program | None:
        """The program ``name`` for a run of this version; of none, for a new run."""
        if version in self._pool:
            return self._pool[version].get(name)
        return self._by_name.get(name) if self.has(version) else None

    def get(self, name: str, version: str = "") -> Program:
        """The program, or ``NotFound`` with the names there are."""
        program = self.find(name, version)
        if program is None:
            if not self.has(version):
                raise NotFound(
                    f"version {named(version)!r} is not on this node.", cure="See `rco version list` for where it is."
                )
            known = ", ".join(self.names()[:20]) or "none"
            raise NotFound(f"no workflow named {name!r}.", cure=f"This application has: {known}.")
        return program
