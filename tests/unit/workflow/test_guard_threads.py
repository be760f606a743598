"""While workflow code runs, the service's other threads open their files and databases unhindered."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from rco.engine.machine import Machine
from rco.errors import Misuse
from rco.workflow.guard import install_guard


def test_another_thread_may_open_a_database_meanwhile(tmp_path: Path) -> None:
    install_guard()
    problems: list[Misuse] = []
    inside, opened = threading.Event(), threading.Event()

    def open_database() -> None:
        inside.wait(10)
        try:
            sqlite3.connect(tmp_path / "store.db").close()
            (tmp_path / "file").write_text("")
        except Misuse as problem:
            problems.append(problem)
        opened.set()

    thread = threading.Thread(target=open_database)
    thread.start()

    async def code(machine: Machine) -> bool:
        inside.set()
        return opened.wait(10)

    machine = Machine(bytes(16))
    machine.begin(code, 1)
    thread.join()
    assert machine.verdict is not None
    assert machine.verdict[1] is True
    assert problems == []
