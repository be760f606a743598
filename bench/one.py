"""``python -m bench.one QUESTION FOLDER SCALE [STORE [SERVER]]``: one round in this process; its figures as JSON on
standard output."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import msgspec
import uvloop

from bench.question import Question, Round

__all__ = ["main"]


def main(name: str, folder: str, scale: str, store: str = "sqlite", server: str = "") -> None:
    question: Question = import_module(f"bench.questions.{name}").QUESTION
    measured = uvloop.run(question.ask(Round(Path(folder), float(scale), store, server)))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
