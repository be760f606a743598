"""What a file of a peer holds: ``PEERS``, and ``engine``, which makes what answers the questions.

Imported inside the peers' own environments, so by nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["NOTE", "Answer", "Counts", "Engine", "Peer", "Place", "Unavailable"]

NOTE = "x" * 100
"""What every step returns beside its number, with every engine: about 200 bytes of journal."""


class Unavailable(Exception):
    """This peer cannot be had here. The message is what the table says of it."""


@dataclass(frozen=True)
class Counts:
    """How much of each question one round puts to an engine. Slow ones get less, so that a round takes seconds."""

    runs: int = 4_000
    """Runs of ten steps, ``at_a_time`` of them at any moment."""
    at_a_time: int = 100
    alone: int = 200
    """Runs of ten steps, one at a time."""
    waits: int = 500
    """Runs of one step, one at a time, each timed."""
    sleeps: int = 1_000
    """Runs that sleep a second, started at once."""
    crashed: int = 500
    """Runs of ten steps of 20 ms, half of them done when the process is killed."""
    requests: int = 20_000

    def scaled(self, scale: float) -> Counts:
        """The same at another size, nothing below one."""
        parts = {name: max(1, round(value * scale)) for name, value in self.__dict__.items()}
        return Counts(**{**parts, "at_a_time": min(self.at_a_time, parts["runs"])})


@dataclass(frozen=True)
class Place:
    """Where one round happens: an empty folder of its own and what was installed for the peer.

    ``binaries``: the folder with the programs of its environment. ``tools``: servers, by name. ``postgres``: address of
    an empty database of its own on the PostgreSQL of this round, ``postgres_pid`` its first process; ``""`` and 0 when
    the peer has no use for one.
    """

    peer: str
    folder: str
    binaries: str
    tools: Mapping[str, str] = field(default_factory=dict)
    postgres: str = ""
    postgres_pid: int = 0

    @property
    def effects(self) -> Path:
        """Where the steps of the runs that are killed write down that they ran, a line each."""
        return Path(self.folder) / "effects"


@dataclass(frozen=True)
class Answer:
    """What one round found. ``cpu_s``: of all processes, those of servers and of the database included. ``waits_ms``:
    for questions of how long or how late, one for each. ``settings``: what the figure includes."""

    question: str
    count: int
    took_s: float
    cpu_s: float | None = None
    waits_ms: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One peer at one setting.

    ``kind``: ``ours``; ``durable`` for an engine that keeps every finished step through a crash; ``queue`` for chained
    tasks without a memory of steps; ``ingest`` for a receiver of webhooks. Reaches are held against those named in
    ``bench.peers.reaches``. ``declines`` says which questions are not put to it, and why; ``prepare`` installs what it
    needs, gives its binaries and tools, and raises ``Unavailable``. ``rounds_max`` and ``recoveries`` (rounds
    that ask for recovery) are small for what takes long.
    """

    name: str
    text: str
    kind: Literal["ours", "durable", "queue", "ingest"]
    durability: str
    installed: str
    prepare: Callable[[Path], tuple[str, dict[str, str]]]
    packages: tuple[str, ...]
    counts: Counts = Counts()
    declines: Mapping[str, str] = field(default_factory=dict)
    needs_postgres: bool = False
    rounds_max: int = 99
    recoveries: int = 2


class Engine:
    """One peer, ready to be asked. What differs from the usual is overridden.

    ``apart``: the steps run in a process that ``kill`` ends and ``again`` starts; otherwise they run in the process
    that asks, and a process of its own is made to be killed.
    """

    apart = False

    def __init__(self, place: Place) -> None:
        self.place = place

    async def start(self) -> None:
        """Ready to run workflows; also over what an earlier process of the same place left."""
        raise NotImplementedError

    async def ground(self) -> None:
        """Bring up what outlives a kill of the process that runs the steps, where ``start`` does not find it there."""

    async def stop(self) -> None:
        """Let go of everything that ``start`` took."""

    async def run(self, steps: int) -> None:
        """One run of ``steps`` steps, from its start to its result. Raises when it did not complete."""
        raise NotImplementedError

    async def many(self, runs: int, at_a_time: int, steps: int) -> None:
        """``runs`` runs, ``at_a_time`` at any moment."""
        left = runs

        async def one() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self.run(steps)

        await asyncio.gather(*(one() for _ in range(min(at_a_time, runs))))

    async def nap(self, seconds: float) -> float:
        """One run of one durable sleep; by how many seconds it was late, as the workflow saw it."""
        raise NotImplementedError

    async def naps(self, count: int, seconds: float) -> list[float]:
        return list(await asyncio.gather(*(self.nap(seconds) for _ in range(count))))

    async def begin(self, runs: int) -> None:
        """Start ``runs`` runs of ten steps of 20 ms that write their effects; returns when each start is kept."""
        raise NotImplementedError

    async def kill(self) -> None:
        """``kill -9`` the process that runs the steps."""
        raise NotImplementedError

    async def again(self) -> None:
        """Start it again, at once."""
        raise NotImplementedError

    async def receive(self, port: int) -> subprocess.Popen[bytes]:
        """A receiver of webhooks on that port; its ``/readyz`` says 200 when it is ready."""
        raise NotImplementedError

    async def accepted(self) -> int:
        """How many requests have had their full effect."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What to write beside the figures."""
        return {}
