"""Replaying: a run as its records made it."""

from __future__ import annotations

from typing import Any

from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.program import Programs
from rco.engine.queueing import began_us
from rco.errors import CodeChanged
from rco.kit.ids import id_text
from rco.model.journal import COMMANDED, Kind, Record
from rco.model.run import RunRow

__all__ = ["replay"]


def replay(programs: Programs, row: RunRow, records: list[Record]) -> Live:
    """Rebuild a run from its records. Pure: nothing is armed and nothing is written.

    Raises ``CodeChanged`` when the code does not fit the records, ``NotFound`` when its workflow is not there.
    """
    if not records or records[0].kind != Kind.START:
        raise CodeChanged("the run's journal does not begin with START.", diff={"recorded": "nothing", "code": []})
    start: dict[str, Any] = records[0].body
    program = programs.get(row.workflow, row.version)
    machine = Machine(row.run_id)
    live = Live(row.run_id, machine, start, records[0].at_us)
    live.seq = live.committed = len(records)
    live.version = row.version
    names = _names(start, row.run_id)
    machine.run_id = names.get(0, machine.run_id)
    machine.begin(lambda machine: program.begin(machine, row.run_id, start), began_us(records))
    for seq, record in enumerate(records[1:], 1):
        if seq in names:
            machine.run_id = names[seq]
        machine.apply(record)
        if record.kind == Kind.MESSAGE:
            live.taken.add(_message_id(record.body))
        elif record.kind in COMMANDED:
            live.taken.add(record.body["message_id"])
    # What was dropped then was dropped with its consequences, in the same commit.
    machine.dropped.clear()
    return live


def _names(start: dict[str, Any], run_id: bytes) -> dict[int, bytes]:
    """From which record on the code goes under which identity. A fork's copied part keeps the one it was written under,
    as the code may have used it; with the last copied record it goes on as itself."""
    origin = start.get("origin")
    if origin is None:
        return {}
    names: dict[int, bytes] = {}
    since = 0
    for count, name in origin["ids"]:
        if count - 1 > since or not names:
            names[since] = name
        since = count - 1
    names[since] = run_id
    return names


def _message_id(body: list[Any]) -> str:
    taken = body[0]
    return taken if isinstance(taken, str) else f"child:{id_text(taken)}"
