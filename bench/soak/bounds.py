"""What must stay bounded, and what a line through its samples says of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

__all__ = ["BOUNDS", "Bound", "Found", "Sample", "grown", "judge"]

SAMPLES_LEAST = 8


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the service held at one moment. Seconds since the load began."""

    at_s: float
    resident_mib: float
    descriptors: int
    threads: int
    queued: int
    """Rows that wait for the store, and requests inside."""
    open_runs: int


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the samples; how much of growth is taken for none, over the time that is looked at: ``least`` of its
    unit, or ``share`` of what it is on average, whichever is more; and a most that it may ever be."""

    field: str
    text: str
    unit: str
    least: float
    share: float = 0.0
    most: float | None = None


BOUNDS = (
    Bound(field="resident_mib", text="resident memory", unit="MiB", least=8, share=0.05),
    Bound(field="descriptors", text="open descriptors", unit="", least=8, share=0.02),
    Bound(field="threads", text="threads", unit="", least=2),
    Bound(field="queued", text="rows and requests that wait", unit="", least=20, most=16_000),
    Bound(field="open_runs", text="open runs", unit="", least=50),
)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one bound, with the sentence that says it."""

    field: str
    begin: float
    end: float
    most: float
    grown: float
    """By the fitted line, over the time that was looked at."""
    allowed: float
    per_hour: float
    ok: bool
    said: str


def grown(points: Sequence[tuple[float, float]]) -> float:
    """By how much the line through the points rises from the first to the last: the median of the slopes between every
    two of them (Theil and Sen), which one spike does not bend. Raises ``ValueError`` for fewer than two moments."""
    slopes = [
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for at, sooner in enumerate(points)
        for later in points[at + 1 :]
        if later[0] > sooner[0]
    ]
    if not slopes:
        raise ValueError("a line needs two moments")
    return statistics.median(slopes) * (points[-1][0] - points[0][0])


def judge(samples: Sequence[Sample], warm_s: float) -> list[Found]:
    """Every bound over the samples after the warm-up. Raises ``ValueError`` for too few of them."""
    steady = [one for one in samples if one.at_s >= warm_s]
    if len(steady) < SAMPLES_LEAST:
        raise ValueError(f"{len(steady)} samples after the warm-up; {SAMPLES_LEAST} are needed")
    return [_judged(bound, steady) for bound in BOUNDS]


def _judged(bound: Bound, steady: Sequence[Sample]) -> Found:
    points = [(one.at_s, float(getattr(one, bound.field))) for one in steady]
    values = [value for _, value in points]
    window_s = points[-1][0] - points[0][0]
    rise = grown(points)
    allowed = max(bound.least, bound.share * statistics.mean(values))
    per_hour = rise / window_s * 3600
    most = max(values)
    bounded = rise <= allowed
    within = bound.most is None or most <= bound.most
    unit = f" {bound.unit}" if bound.unit else ""
    word = "grew by" if rise > 0 else "fell by" if rise < 0 else "stayed, fitted, within"
    said = (
        f"{bound.text} {word} {abs(rise):.1f}{unit} in {window_s:.0f} s by the fitted line ({per_hour:+.1f}{unit} an "
        f"hour; {allowed:.1f}{unit} is taken for none), at most {most:.1f}{unit}"
    )
    if not bounded:
        said += ": it GROWS"
    elif not within:
        said += f": more than {bound.most:g} is NOT bounded"
    return Found(
        field=bound.field,
        begin=round(statistics.median(values[: max(1, len(values) // 4)]), 2),
        end=round(statistics.median(values[-max(1, len(values) // 4) :]), 2),
        most=round(most, 2),
        grown=round(rise, 2),
        allowed=round(allowed, 2),
        per_hour=round(per_hour, 2),
        ok=bounded and within,
        said=said,
    )
