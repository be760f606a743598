"""How results are shown: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

__all__ = [
    "SHOWN",
    "Shown",
    "harmless",
    "moment",
    "print_answer",
    "print_json",
    "print_json_line",
    "print_table",
    "print_text",
]

WIDTH_NO_TERMINAL = 240
"""Columns when nobody looks: wide enough that no identity is cut."""


@Parameter(name="*")
@dataclass(frozen=True)
class Shown:
    """How to show the result."""

    json: Annotated[bool, Parameter(negative="")] = False
    "Machine-readable output: JSON, stable within a major version."


SHOWN = Shown()


def harmless(text: object) -> str:
    """``text`` without control characters: an event's id must not be able to drive the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def moment(text: str | None, unit: str = "seconds") -> str:
    """A time as tables show it: RFC 3339 in UTC, to the second or (``milliseconds``) finer; empty for none."""
    if not text:
        return ""
    return f"{text[:23] if unit == 'milliseconds' else text[:19]}Z"


def print_json(value: Any) -> None:
    """``value`` as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_json_line(value: Any) -> None:
    """One JSON value on a line of its own."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_text(text: str, style: str = "") -> None:
    """One line, in ``style`` where the terminal has styles."""
    from rich.console import Console
    from rich.text import Text

    _console(Console).print(Text(harmless(text), style=style), soft_wrap=True)


def print_answer(value: Any, text: str, style: str = "", *, json: bool) -> None:
    """``value`` for programs, ``text`` in ``style`` for people."""
    if json:
        print_json(value)
    else:
        print_text(text, style)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str) -> None:
    """A table; ``nothing`` is said when there are no rows. A cell may be ``(text, style)``."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name == "ID")
    count = 0
    for row in rows:
        count += 1
        cells = [cell if isinstance(cell, tuple) else (cell, "") for cell in row]
        table.add_row(*(Text("" if cell is None else harmless(cell), style=style) for cell, style in cells))
    console = _console(Console)
    if count:
        console.print(table)
    else:
        console.print(nothing, style="dim")


def _console(kind: type[Any]) -> Any:
    return kind(highlight=False) if sys.stdout.isatty() else kind(highlight=False, width=WIDTH_NO_TERMINAL)
