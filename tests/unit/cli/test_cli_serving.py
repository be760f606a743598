"""The short way of ``rco serve`` reads what the parser would, and leaves it the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rco.cli.serving import OPTIONS, serving
from rco.cli.tree import make_app


def parsed(arguments: list[str]) -> dict[str, Any]:
    _, bound, _ = make_app().parse_args(arguments, exit_on_error=False, print_error=False)
    return dict(bound.arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["serve", "--config", "a.yaml"],
        ["serve", "--config=a.yaml", "--app", "app.py", "--bind=0.0.0.0:8080"],
        ["serve", "--app-version=auto", "--store", "postgresql://u:p@h/d?sslmode=require"],
        ["serve", "--store=a=b", "--app", "a b", "--config", "x=y"],
    ],
)
def test_what_it_reads_is_what_the_parser_reads(arguments: list[str]) -> None:
    assert serving(arguments) == parsed(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["dev"], ["--help"], ["serve", "--help"], ["serve", "-h"], ["serve", "a.yaml"], ["serve", "--config"]),
        *(["serve", "--config", "--app"], ["serve", "--config="], ["serve", "--app", "a", "--app", "b"]),
        *(["serve", "--no-config"], ["serve", "--conf", "a"], ["serve", "--", "a"], ["--version", "serve"]),
        *(["serve", "--app_version", "a"], ["serve", "--config", "-"], ["serve", "--app", ""]),
    ],
)
def test_everything_else_is_for_the_parser(arguments: list[str]) -> None:
    assert serving(arguments) is None


def test_it_knows_every_option_of_the_command() -> None:
    from inspect import signature

    from rco.cli.serve import serve

    assert sorted(OPTIONS.values()) == sorted(signature(serve).parameters)


def test_a_failure_reads_as_it_does_for_every_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rco", "serve", "--config", str(tmp_path / "none.yaml")]
    short = subprocess.run(command, capture_output=True, text=True, check=False)
    # The same by the parser, which reads the option in another place.
    code = f"import sys; from rco.cli.entry import run; sys.exit(run({command[3:]!r}))"
    long = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (short.returncode, short.stderr) == (long.returncode, long.stderr)
    assert short.returncode == 2
    assert "none.yaml" in short.stderr
