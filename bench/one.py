"""``python -m bench.one QUESTION FOLDER SCALE [STORE [SERVER]]``: one round in this process; its figures as JSON on
standard output."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import msgspec
import uvloop

from bench.question import Question, Round

__all__ = ["answer", "main"]


def answer(name: str, folder: str, scale: float, store: str, server: str) -> bytes:
    """The figures of one round, as JSON."""
    question: Question = import_module(f"bench.questions.{name}").QUESTION
    return msgspec.json.encode(uvloop.run(question.ask(Round(Path(folder), scale, store, server))))


def main(name: str, folder: str, scale: str, store: str = "sqlite", server: str = "") -> None:
    sys.stdout.write(answer(name, folder, float(scale), store, server).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
