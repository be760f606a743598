"""The table for people, and the list for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figure import Figure

__all__ = ["as_json", "show"]

_SHORT = {"postgresql": "pg"}
_SLOW_DISK = 2_000
"""Flushes a second below which rates and waits tell of the disk more than of the product."""


def as_json(figures: Sequence[Figure]) -> bytes:
    """A list of objects, one a line of the table; ends with a line end."""
    return msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n"


def show(console: Console, figures: Sequence[Figure], machine: dict[str, Any]) -> None:
    """Print the machine, the table, and a verdict that names what was not reached."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    took_s: dict[str, float] = machine.get("took_s") or {}
    longest = ", ".join(f"{name} {seconds:.0f}" for name, seconds in list(took_s.items())[:8])
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['file_system']}\nPython {machine['python']}, SQLite {machine['sqlite']}, {packages}\n"
        f"rco {machine['rco']} at {machine['commit']}; load average before {machine['load_before']:.2f}, "
        f"after {machine['load_after']:.2f}"
        + (f"\nIt took {machine['took_all_s']:.0f} s, the longest of it: {longest}." if took_s else ""),
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("question", min_width=30)
    table.add_column("store")
    for name in ("value", "least to most", "CPU s / 1 000", "to reach", "", "to the raw limit"):
        table.add_column(name, justify="right")
    for one in figures:
        table.add_row(
            one.text,
            _SHORT.get(one.store, one.store),
            f"{_number(one.value)} {one.unit}",
            f"{_number(one.lowest)} to {_number(one.highest)}" if one.rounds > 1 else "",
            "" if one.cpu_s_per_1000 is None else f"{one.cpu_s_per_1000:.4f}",
            one.reach,
            {None: "", True: "[green]reached", False: "[red]not reached"}[one.reached],
            "" if one.ratio is None else _ratio(one),
        )
    console.print(table)
    console.print(_verdict(figures, machine), highlight=False)


def _ratio(one: Figure) -> str:
    return f"{one.ratio:.0%} of {one.against}" if one.unit == "/s" else f"{one.ratio:.1f} x {one.against}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _verdict(figures: Sequence[Figure], machine: dict[str, Any]) -> str:
    missed = [f"{one.question} ({_SHORT.get(one.store, one.store)})" for one in figures if one.reached is False]
    asked = [one for one in figures if one.reached is not None]
    lines = [f"reached {len(asked) - len(missed)} of {len(asked)}" + (f"; not: {', '.join(missed)}" if missed else "")]
    busiest = max(machine["load_before"], machine["load_after"])
    if busiest > machine["cores"] + 1.5:
        lines.append(
            f"The load average was {busiest:.1f} on {machine['cores']} cores: others worked here meanwhile, so rates "
            "are too low and waits too long. CPU seconds and ratios to the raw limits are what to read."
        )
    lines += [
        f"The disk took {one.value:.0f} flushes a second: rates and waits tell of it more than of the product."
        for one in figures
        if one.question == "fsync" and one.value < _SLOW_DISK
    ]
    if machine["file_system"] in ("tmpfs", "ramfs"):
        lines.append(f"The folder is on {machine['file_system']}, where a flush costs nothing: use --folder DISK.")
    return "\n".join(lines)
