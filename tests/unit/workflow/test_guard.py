"""Sockets, processes and files are refused while workflow code runs, and only then."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rco.engine.machine import Machine
from rco.errors import Misuse
from rco.workflow.guard import install_guard


@pytest.mark.parametrize(
    "act",
    [
        socket.socket,
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: subprocess.run(["true"], check=False),
        lambda: sqlite3.connect(":memory:"),
        lambda: Path("/etc/hostname").read_text(),
    ],
)
def test_refused_in_workflow_code_with_the_cure(act: Callable[[], Any]) -> None:
    install_guard()
    install_guard()

    async def code(machine: Machine) -> None:
        act()

    machine = Machine(bytes(16))
    machine.begin(code, 1)
    assert isinstance(machine.blocked, Misuse), machine.verdict
    assert "ctx.step" in str(machine.blocked)


def test_allowed_elsewhere_and_imports_everywhere() -> None:
    install_guard()
    socket.socket().close()

    async def code(machine: Machine) -> str:
        import colorsys

        return colorsys.__name__

    machine = Machine(bytes(16))
    machine.begin(code, 1)
    assert machine.verdict is not None
    assert machine.verdict[1] == "colorsys"
