"""What people do to a run: pause, fork, move to another version."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.engine import forking, moving
from rco.engine.loading import Loading
from rco.engine.moving import Moving
from rco.engine.pausing import Pausing
from rco.engine.program import Programs
from rco.engine.rehearsing import Fit
from rco.model.journal import Kind, Record

__all__ = ["PLANTED"]


def go_on_while_paused(patch: pytest.MonkeyPatch) -> None:
    """What was to be armed when the attempt under way has ended is armed."""

    def pause(self: Pausing, live: Any, message: Any) -> None:
        body = {"message_id": message.message_id, "reason": "", "actor": ""}
        self._taken(live, message)
        self._owner.append(live, Record(Kind.PAUSE, "", self._owner.clock.now_us(), b"", body))
        self._move(live, body)

    patch.setattr(Pausing, "pause", pause)


def forget_what_came_while_paused(patch: pytest.MonkeyPatch) -> None:
    resumed = Loading._resumed

    async def forget(self: Loading, row: Any, messages: Any) -> Any:
        for message in messages:
            if message.kind == "signal":
                self._pausing.forget(row, message)
        return await resumed(self, row, messages)

    patch.setattr(Loading, "_resumed", forget)


def fork_with_another_input(patch: pytest.MonkeyPatch) -> None:
    """What is copied is not what the run began with."""
    own = forking.Forking._records

    def lie(self: Any, row: Any, ask: Any, step: str, kept: Any) -> Any:
        records, start = own(self, row, ask, step, kept)
        given = {**start["input"], "steps": start["input"].get("steps", 0) + 1}
        start = {**start, "input": given}
        return [Record(Kind.START, "", records[0].at_us, b"", start), *records[1:]], start

    patch.setattr(forking.Forking, "_records", lie)


def move_untried(patch: pytest.MonkeyPatch) -> None:
    """Whatever does not fit is moved all the same."""
    rehearsed = Moving.rehearsed

    async def fits(self: Any, row: Any, to: str) -> Any:
        _, count = await rehearsed(self, row, to)
        return Fit(fits=True), count

    patch.setattr(Moving, "rehearsed", fits)


def move_what_was_tried_before(patch: pytest.MonkeyPatch) -> None:
    """A run is moved although it got on since it was tried: the number of its records is not compared."""
    write = Moving._write

    async def blind(self: Any, row: Any, request: Any, message_id: str = "") -> Any:
        segments = await self._reader.journal(row.run_id)
        live = self._owner.live.get(row.run_id)
        count = live.seq if live is not None else moving._count(segments)
        return await write(self, row, msgspec.structs.replace(request, seq=count), message_id)

    patch.setattr(Moving, "_write", blind)


def drive_by_the_current_code(patch: pytest.MonkeyPatch) -> None:
    """The version of a run is forgotten when it is loaded."""
    find = Programs.find
    patch.setattr(Programs, "find", lambda self, name, version="": find(self, name))


def move_the_row_alone(patch: pytest.MonkeyPatch) -> None:
    """The row says the new version, and the journal does not."""
    aside = moving.append_aside

    async def silent(owner: Any, ghost: Any, seq: int, record: Record, add: Any, committed: Any) -> None:
        told = Record(record.kind, "", record.at_us, b"", {**record.body, "to": record.body["from"]})
        await aside(owner, ghost, seq, told, add, committed)

    patch.setattr(moving, "append_aside", silent)


PLANTED: list[Planted] = [
    (go_on_while_paused, "pauses", {"pause": 0.8}),
    (forget_what_came_while_paused, "signals", {"pause": 0.8}),
    (fork_with_another_input, "forks", {"fork": 1.0}),
    # Code that a run does not fit blocks it, so that it never ends.
    (move_untried, "live", {"versions": True, "move": 1.0}),
    (move_what_was_tried_before, "versions", {"versions": True, "move": 1.0, "read_s": (0.05, 0.5)}),
    (drive_by_the_current_code, "versions", {"versions": True, "nodes": 1, "crashes": 4}),
    (move_the_row_alone, "versions", {"versions": True, "move": 1.0}),
]
