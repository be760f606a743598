"""A line over sizes as SVG: both axes logarithmic, a series for each store, its slope in the legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.growth.fit import slope

__all__ = ["Series", "plot"]

Series = tuple[str, Sequence[tuple[float, float]]]
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 44, 48
_COLOURS = ("#0b6e99", "#c4531c", "#4d7c0f", "#7c3aed")
_ROOM = 1.25
"""So many times above the largest and below the smallest value."""


def plot(title: str, x_label: str, unit: str, series: Sequence[Series]) -> str:
    """The picture. Points that are not above zero cannot stand on a logarithmic axis and are left out."""
    kept = [(name, [(x, y) for x, y in points if x > 0 and y > 0]) for name, points in series]
    every = [point for _, points in kept for point in points]
    if not every:
        raise ValueError(f"{title}: nothing to draw")
    across = _Axis([x for x, _ in every], _LEFT, _WIDTH - _RIGHT, 1.0)
    up = _Axis([y for _, y in every], _HEIGHT - _BOTTOM, _TOP, _ROOM)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"',
        f'  width="{_WIDTH}" height="{_HEIGHT}" font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14" fill="#111111">{escape(title)}</text>',
    ]
    for value in across.ticks():
        at = across.at(value)
        parts.append(f'<path d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#e5e5e5"/>')
        parts.append(_text(at, _HEIGHT - _BOTTOM + 16, _short(value), "middle"))
    for value in up.ticks():
        at = up.at(value)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#e5e5e5"/>')
        parts.append(_text(_LEFT - 6, at + 4, _short(value), "end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x_label, "middle"))
    parts.append(_text(_LEFT - 6, _TOP - 10, unit, "end"))
    legend_x = float(_LEFT)
    for (name, points), colour in zip(kept, _COLOURS, strict=False):
        places = [f"{across.at(x):.1f} {up.at(y):.1f}" for x, y in points]
        parts.append(f'<path d="M{"L".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3.5" fill="{colour}">'
            f"<title>{escape(name)}: {x:g} {escape(x_label)}, {y:.4g} {escape(unit)}</title></circle>"
            for x, y in points
        ]
        found = slope(points)
        label = name if found is None else f"{name}: slope {found:.2f}"
        parts.append(f'<path d="M{legend_x:.0f} {_TOP - 14}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(legend_x + 24, _TOP - 10, label, "start"))
        legend_x += 44 + 7 * len(label)
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """A logarithmic axis from pixel ``first`` to pixel ``last``."""

    def __init__(self, values: Sequence[float], first: float, last: float, room: float) -> None:
        low, high = min(values) / room, max(values) * room
        if high / low < 1.001:
            low, high = low / 2, high * 2
        self._low, self._high, self._first, self._last = math.log10(low), math.log10(high), first, last

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)

    def ticks(self) -> list[float]:
        """Powers of ten; where fewer than three lie on the axis, 2 and 5 times them as well, and then all digits."""
        for digits in ((1,), (1, 2, 5), tuple(range(1, 10))):
            found = [
                digit * 10.0**power
                for power in range(math.floor(self._low), math.ceil(self._high) + 1)
                for digit in digits
                if self._low - 1e-9 <= math.log10(digit * 10.0**power) <= self._high + 1e-9
            ]
            if len(found) >= 3:
                break
        return found


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#444444">{escape(text)}</text>'


def _short(value: float) -> str:
    for bound, letter in ((1e6, "M"), (1e3, "k")):
        if value >= bound:
            return f"{value / bound:g}{letter}"
    return f"{value:g}"
