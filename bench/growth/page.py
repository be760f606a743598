"""The section on growth in ``docs/performance.md``: written from the points, between two marks; the rest of the page is
left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.growth.curve import Curve, Line
from bench.growth.curves import NAMES, curve
from bench.growth.fit import named, slope
from bench.growth.plot import plot

__all__ = ["Grown", "write_page"]

_BEGIN, _END = "<!-- growth: written by make bench-growth -->", "<!-- growth: end -->"
_PAGE = "# Performance\n"


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """One point with all that is needed to read it later."""

    question: str
    curve: str
    line: str
    store: str
    x: int
    value: float
    unit: str
    cpu_s_per_1000: float | None
    settings: dict[str, Any]
    machine: dict[str, Any]


def write_page(page: Path, pictures: Path, grown: Sequence[Grown]) -> None:
    """Draw every line of ``grown`` into ``pictures`` and write the section of ``page`` that embeds them."""
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [_BEGIN, "", "## How cost grows with work", "", _HOW, ""]
    for name in NAMES:
        points = [one for one in grown if one.curve == name]
        if points:
            parts += _section(name, curve(name), points, page, pictures)
    text = page.read_text() if page.exists() else _PAGE
    section = "\n".join([*parts, _END])
    if _BEGIN in text and _END in text:
        before, _, rest = text.partition(_BEGIN)
        text = before + section + rest.partition(_END)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    page.write_text(text)


_HOW = (
    "Written by `make bench-growth`, pictures and numbers, from `performance/growth.json`. Everything is on: fsync, "
    "evidence, metrics, limits. CPU is that of the node and of PostgreSQL together. The slope is the exponent k of "
    "value ~ size^k that fits best: 0 is flat, 1 in proportion. On a machine where others work, rates and times are "
    "theirs as well; CPU and ratios are what to read."
)


def _section(name: str, of: Curve, points: list[Grown], page: Path, pictures: Path) -> list[str]:
    parts = [f"### {of.title}", "", of.about, "", _taken(points), ""]
    for line in of.lines:
        series = [
            (store, sorted((float(one.x), one.value) for one in points if one.line == line.name and one.store == store))
            for store in of.stores
        ]
        series = [(store, found) for store, found in series if found]
        if not series:
            continue
        picture = pictures / f"growth-{name}-{line.name}.svg"
        picture.write_text(plot(line.text, of.x, line.unit, series))
        where = picture.relative_to(page.parent)
        parts += [f"![{line.text}, by {of.x}]({where})", "", *_table(line, series), ""]
    return parts


def _taken(points: list[Grown]) -> str:
    """On which machine, at which commit, under which load."""
    found = []
    for store in dict.fromkeys(one.store for one in points):
        machine = next(one.machine for one in points if one.store == store)
        found.append(
            f"{store}: commit {machine['commit']}, {machine['cpu']}, {machine['cores']} cores, load average "
            f"{machine['load_before']:.1f} before and {machine['load_after']:.1f} after"
        )
    return f"Taken on {'; '.join(found)}."


def _table(line: Line, series: list[tuple[str, list[tuple[float, float]]]]) -> list[str]:
    sizes = sorted({x for _, points in series for x, _ in points})
    rows = [
        f"| {line.text}, {line.unit} | "
        + " | ".join(f"{size:,.0f}".replace(",", " ") for size in sizes)
        + " | slope |",
        "| --- |" + " ---: |" * len(sizes) + " --- |",
    ]
    verdicts = []
    for store, points in series:
        found = dict(points)
        exponent = slope(points)
        told = "" if exponent is None else f"{exponent:.2f}, {named(exponent)}"
        cells = " | ".join(_number(found[size]) if size in found else "" for size in sizes)
        rows.append(f"| {store} | {cells} | {told} |")
        (first, at_first), (last, at_last) = points[0], points[-1]
        if line.growth is not None and last > first:
            ratio = at_last / at_first
            verdicts.append(
                f"{store}: at {last:g} against {first:g} {ratio:.2f} x, to reach {line.growth}: "
                f"{'reached' if line.growth.met(ratio) else 'not reached'}."
            )
        if line.bound is not None:
            verdicts.append(
                f"{store}: at {last:g} {_number(at_last)} {line.unit}, to reach {line.bound}: "
                f"{'reached' if line.bound.met(at_last) else 'not reached'}."
            )
    return [*rows, *(["", " ".join(verdicts)] if verdicts else [])]


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"
