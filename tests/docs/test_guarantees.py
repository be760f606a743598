"""Every promise has its rows, and what a row names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text: str) -> list[tuple[str, list[str]]]:
    """(heading, cells) of every row of every table but its head."""
    found, heading = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and not line.startswith(("| mechanism", "| ---")):
            found.append((heading, [cell.strip() for cell in line.strip().strip("|").split("|")]))
    return found


def missing(text: str, root: Path) -> list[str]:
    """Rows without a mechanism's file or a test, and tests that are not there."""
    found = []
    for heading, cells in rows(text):
        tests = _TEST.findall(cells[1]) if len(cells) == 3 else []
        if len(cells) != 3 or "](../src/" not in cells[0] or not tests:
            found.append(f"{heading}: {cells[0]}")
        found += [f"{file}::{name}" for file, name in tests if name not in defined(root / file)]
    return found


def defined(path: Path) -> set[str]:
    """The functions of a test file."""
    if not path.is_file():
        return set()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_every_promise_has_a_row_and_every_row_a_test_that_is_there() -> None:
    text = PAGE.read_text()
    numbers = {heading.partition(".")[0] for heading, _ in rows(text)}
    assert numbers == {str(number) for number in range(1, 9)}
    assert missing(text, ROOT) == []


@pytest.mark.parametrize(
    "row",
    [
        "| by magic | `tests/docs/test_guarantees.py::rows` | |",
        "| [x](../src/rco/app.py) | it just works | |",
        "| [x](../src/rco/app.py) | `tests/docs/test_guarantees.py::test_gone` | |",
        "| [x](../src/rco/app.py) | `tests/docs/gone.py::test_x` | |",
        "| [x](../src/rco/app.py) | `tests/docs/test_guarantees.py::rows` |",
    ],
)
def test_a_row_without_proof_is_found(row: str) -> None:
    good = "| [x](../src/rco/app.py) | `tests/docs/test_guarantees.py::rows` | |"
    assert missing(f"## 1. P\n{good}\n", ROOT) == []
    assert missing(f"## 1. P\n{row}\n", ROOT) != []
