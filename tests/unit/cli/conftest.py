"""The command line, in a folder of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rco.cli.entry import run


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def rco(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs a command in this process, as the console script does."""
    for name in [name for name in os.environ if name.startswith("RCO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, input: str = "", **environ: str) -> Said:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
            capsys.readouterr()
            status = run(list(arguments))
            out, err = capsys.readouterr()
        return Said(status, out, err)

    return call
