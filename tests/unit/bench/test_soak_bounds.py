"""What grows is found, what only wavers is not."""

from __future__ import annotations

import random

import pytest
from bench.soak.bounds import BOUNDS, Sample, grown, judge

SECONDS = 480


def samples(
    *, leak_mib: float = 0.0, files: float = 0.0, threads: float = 0.0, queued: float = 0.0, runs: float = 0.0
) -> list[Sample]:
    """Ten minutes, every two seconds, with the noise of a real service; each argument is what has leaked at the end.
    The first two minutes are a warm-up in which everything grows."""
    chance = random.Random(7)
    found = []
    for at in range(0, 600, 2):
        warm, share = min(1.0, at / 120), max(0.0, (at - 120) / SECONDS)
        found.append(
            Sample(
                at_s=at,
                resident_mib=80 + 60 * warm + leak_mib * share + chance.gauss(0, 1.5) + (40 if at % 100 == 50 else 0),
                descriptors=round(40 + 20 * warm + files * share + chance.choice((-2, -1, 0, 1, 2))),
                threads=round(12 + threads * share),
                queued=round(max(0.0, 8 + queued * share + chance.gauss(0, 6))),
                open_runs=round(max(0.0, 10 + runs * share + chance.gauss(0, 5))),
            )
        )
    return found


def test_a_line_is_fitted_whatever_a_spike_says() -> None:
    line = [(float(at), 2.0 * at) for at in range(20)]
    assert grown(line) == pytest.approx(38)
    assert grown([*line[:10], (10.0, 5000.0), *line[11:]]) == pytest.approx(38)
    with pytest.raises(ValueError, match="two moments"):
        grown([(1.0, 1.0)])


def test_what_wavers_is_bounded_and_said_in_words() -> None:
    found = judge(samples(), warm_s=120)
    assert [one.field for one in found] == [bound.field for bound in BOUNDS]
    assert all(one.ok for one in found), [one.said for one in found]
    assert "resident memory" in found[0].said
    assert "an hour" in found[0].said


@pytest.mark.parametrize(
    ("leak", "field"),
    [
        ({"leak_mib": 14.0}, "resident_mib"),
        ({"files": 12.0}, "descriptors"),
        ({"threads": 4.0}, "threads"),
        ({"queued": 60.0}, "queued"),
        ({"runs": 120.0}, "open_runs"),
    ],
)
def test_a_leak_is_found_in_what_leaks(leak: dict[str, float], field: str) -> None:
    found = judge(samples(**leak), warm_s=120)
    assert [one.field for one in found if not one.ok] == [field]
    assert "GROWS" in next(one.said for one in found if one.field == field)


def test_a_queue_that_is_full_throughout_is_not_bounded() -> None:
    full = [Sample(at_s=at, resident_mib=90, descriptors=40, threads=9, queued=19_000, open_runs=3) for at in range(60)]
    assert [one.field for one in judge(full, warm_s=10) if not one.ok] == ["queued"]


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="after the warm-up"):
        judge(samples()[:65], warm_s=120)
