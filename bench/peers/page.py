"""The tables: for the terminal, and for ``docs/performance-peers.md``, which is never written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from bench.peers.reaches import QUESTIONS
from bench.peers.report import NOT_ASKED, Figure, Judged, Report

__all__ = ["page", "show"]

_HEAD = """\
# RCO beside its peers

Written by `make bench-peers WRITE=1` from [performance-peers.json](performance-peers.json); do not edit. What was
chosen to make it fair is in [its decision record](decisions/{decision}).
"""
_DOCS = Path(__file__).parents[2] / "docs"


def show(console: Console, report: Report) -> None:
    """Print the page's tables and nothing else."""
    for line in _facts(report.machine):
        console.print(line, highlight=False)
    console.print(Markdown("\n".join(_tables(report))))


def page(report: Report) -> str:
    """The page as Markdown; the same report gives the same bytes."""
    lines = [
        _HEAD.format(decision=next(_DOCS.glob("decisions/*-peers.md")).name),
        *_facts(report.machine),
        "",
        *_tables(report),
        *_setups(report.figures),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _facts(machine: dict[str, Any]) -> list[str]:
    postgres = machine.get("postgres", {})
    said = ", ".join(
        f"{name}={value}" for name, value in postgres.items() if name not in ("server_version", "file_system")
    )
    lines = [
        (
            f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"Linux {machine['kernel']}, {machine['file_system']}, loopback; sender, application and database share "
            f"the cores. Python {machine['python']}, SQLite {machine['sqlite']}, rco {machine['rco']} at "
            f"{machine['commit']}."
        ),
        (
            f"{_rounds(machine['rounds'])} at scale {machine['scale']:g} in {machine['took_s'] / 60:.0f} minutes; load "
            f"average before {machine['load_before']:.1f}, after {machine['load_after']:.1f} (the bench itself makes "
            f"about 2)."
        ),
    ]
    if postgres:
        lines.append(f"PostgreSQL {postgres['server_version']} on {postgres['file_system']}: {said}.")
    if machine["load_before"] > 1.5:
        lines.append(
            "**Others worked on this machine when it began**: rates are too low and waits too long for all alike; "
            "ratios and CPU seconds are what to read."
        )
    return lines


def _tables(report: Report) -> list[str]:
    lines = ["## What was to be reached", "", *_reaches(report.reaches)]
    for asked in QUESTIONS:
        mine = [one for one in report.figures if one.question == asked.name]
        if all(one.missing == NOT_ASKED for one in mine):
            continue
        cost = asked.name in ("steps-100", "steps-1", "one-step", "timers", "webhooks")
        ordered = sorted(
            mine, key=lambda one: (one.value is None, (one.value or 0.0) * (-1 if asked.more else 1), one.peer)
        )
        each = "request" if asked.name == "webhooks" else "run" if asked.name in ("one-step", "timers") else "step"
        head = [f"| | {asked.unit} | least to most |", "| --- | ---: | ---: |"]
        if cost:
            head = [f"{head[0]} CPU s / 1 000 {each}s |", f"{head[1]} ---: |"]
        lines += [
            "",
            f"## {asked.text}",
            "",
            *(f"{one} {two}" for one, two in zip(head, ("made durable by |", "--- |"), strict=True)),
        ]
        lines += [_row(one, cost=cost) for one in ordered]
    return lines


def _reaches(reaches: list[Judged]) -> list[str]:
    lines = ["| question | reach | | held against | ratio | |", "| --- | --- | --- | --- | ---: | --- |"]
    words = {True: "reached", False: "**not reached**", None: "nothing to hold it against"}
    lines += [
        f"| {one.question} | {one.reach} | {one.ours} | {one.against} | "
        f"{'' if one.ratio is None else _ratio(one.ratio)} | {words[one.reached]} |"
        for one in reaches
    ]
    return lines


def _row(one: Figure, *, cost: bool) -> str:
    name = f"**{one.name}**" if one.kind == "ours" else one.name
    if one.value is None:
        return f"| {name} | none | {'| ' if cost else ''}| {_cell(one.missing)} |"
    values = list(one.by_round.values())
    rounds = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else "one round"
    cells = [name, number(one.value), rounds]
    if cost:
        cells.append("" if one.cpu_s_per_1000 is None else f"{one.cpu_s_per_1000:.3f}")
    failed = f"; {_rounds(len(one.failures))} failed: {one.failures[-1]}" if one.failures else ""
    return f"| {' | '.join(cells)} | {_cell(one.durability + failed)} |"


def _setups(figures: list[Figure]) -> list[str]:
    lines = ["", "## How each was set up", "", "| | versions | from | settings |", "| --- | --- | --- | --- |"]
    seen: dict[str, dict[str, Any]] = {}
    for one in figures:
        seen.setdefault(one.peer, {}).update(
            {name: value for name, value in one.settings.items() if name not in _NOISE}
        )
    for peer, settings in seen.items():
        one = next(one for one in figures if one.peer == peer)
        versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
        said = ", ".join(f"{name}: {value}" for name, value in settings.items())
        lines.append(f"| {one.name} | {versions} | {one.installed} | {_cell(said)} |")
    return lines


_NOISE = ("effects_at_kill", "effects_repeated")


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 1 else f"1/{1 / ratio:.1f}" if ratio > 0 else "0"


def number(value: float) -> str:
    """Three figures, and thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _cell(text: str) -> str:
    """Without what would end the cell."""
    return " ".join(text.split()).replace("|", "/")
