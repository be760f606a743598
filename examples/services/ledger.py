"""A service's ledger: one JSON object a line, on disk before anybody is answered.

Lines are of two kinds. ``seen`` is a request that arrived, whatever became of it. ``done`` is an answer that now stands
for its idempotency key; its ``effect`` names what was done in the world, or is empty when the answer was a plain no.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answered", "Ledger", "read_ledger"]


@dataclass(frozen=True)
class Answered:
    """An answer that stands for a key: every repeat of the request gets it again."""

    status: int
    body: dict[str, Any]
    effect: str = ""
    order: str = ""


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """The lines of a ledger. A last line that a kill cut short is left out: nobody was answered on its account."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line]


class Ledger:
    """Appends lines; ``write`` returns when they are on disk. Lines that arrive meanwhile share the next sync."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, Answered] = {}
        self.attempts: dict[str, int] = {}
        self.effects: set[tuple[str, str]] = set()
        """(effect, order) of everything that was done."""
        for line in read_ledger(path):
            if line["kind"] == "seen":
                self.attempts[line["about"]] = line["attempt"]
            else:
                self._stands(line["key"], Answered(line["status"], line["body"], line["effect"], line["order"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_cut_line(path)
        self._file = path.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._syncing: asyncio.Task[None] | None = None

    def _stands(self, key: str, answered: Answered) -> None:
        self.answers[key] = answered
        if answered.effect:
            self.effects.add((answered.effect, answered.order))

    async def keep(self, key: str, answered: Answered) -> None:
        """Let ``answered`` stand for ``key`` from now on. Returns when it is on disk."""
        await self.write({"kind": "done", "key": key, **asdict(answered)})
        self._stands(key, answered)

    async def write(self, line: dict[str, Any]) -> None:
        """Append one line. Returns after ``fsync``."""
        on_disk = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line).encode() + b"\n", on_disk))
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await on_disk

    async def _sync(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._put, b"".join(line for line, _ in batch))
            for _, on_disk in batch:
                if not on_disk.done():
                    on_disk.set_result(None)
        self._syncing = None

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())


def _drop_cut_line(path: Path) -> None:
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
