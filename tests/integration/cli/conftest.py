"""A service as a process of its own, and the command line that finds it in its folder."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rco.cli.entry import run

APP = """
from rco.workflow import Context, workflow

@workflow
async def greet(ctx: Context, name):
    async def say(name):
        return {"hello": name}
    return await ctx.step(say, name)

@workflow
async def ask(ctx: Context, given):
    return await ctx.signal("answer")

@workflow
async def fail(ctx: Context, given):
    raise ValueError("no luck")
"""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str


Rco = Callable[..., Said]


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RCO_")}
    return clean | {"NO_COLOR": "1"}


@pytest.fixture
def rco(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rco:
    """The command line in this process: what a process adds is a second of start."""
    for name in [name for name in os.environ if name.startswith("RCO_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str, input: str = "", cwd: Path = tmp_path) -> Said:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
        capsys.readouterr()
        status = run(list(arguments))
        out, err = capsys.readouterr()
        return Said(status, out, err)

    return call


class Running:
    """``rco dev`` or ``rco serve`` as a process; its lines on standard error are the signals that tests wait for."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rco", *arguments],
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def until(self, word: str) -> str:
        """The next line with ``word`` in it. Fails when the process ends first, or after 30 s."""
        stop = threading.Timer(30, self.process.kill)
        stop.start()
        try:
            assert self.process.stderr is not None
            for line in self.process.stderr:
                self.lines.append(line)
                if word in line:
                    return line
        finally:
            stop.cancel()
        raise AssertionError(f"no {word!r} in {self.lines}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        assert self.process.stderr is not None
        self.lines += self.process.stderr.readlines()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


CONFIG = 'server: {bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0"}\nlimits: {max_rps: 100}\n'


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*arguments: str) -> Running:
        (tmp_path / "app.py").write_text(APP)
        if not (tmp_path / "rco-config.yaml").exists():
            (tmp_path / "rco-config.yaml").write_text(CONFIG)
        running = Running(tmp_path, *arguments)
        started.append(running)
        return running

    yield begin
    for running in started:
        running.kill()


@pytest.fixture
def service(start: Callable[..., Running]) -> Running:
    running = start("dev", "app.py")
    running.until("serving http://")
    return running
