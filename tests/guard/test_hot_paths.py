"""The hot paths cost at most a tenth more than when somebody last looked. Counted, so it means the same everywhere."""

from __future__ import annotations

import pytest
from tests.guard.baseline import VERSION, read, verdict
from tests.guard.count import counting
from tests.guard.paths import PATHS

from rco.kit.canonical import canonical_json


@pytest.mark.parametrize("name", PATHS)
def test_a_hot_path_has_not_become_dearer(name: str) -> None:
    baseline = read().get(VERSION)
    if baseline is None:
        pytest.skip(f"no baseline for Python {VERSION}: run `make guard` with it and commit what it writes")
    assert not (why := verdict(name, PATHS[name](), baseline[name])), why


def test_the_count_is_the_same_twice() -> None:
    assert PATHS["durable step"]() == PATHS["durable step"]()


def test_more_work_is_counted_and_work_elsewhere_is_not() -> None:
    with counting() as once:
        canonical_json({"a": 1})
    with counting() as twice:
        canonical_json({"a": 1})
        canonical_json({"a": 1})
        sorted(range(1000), key=lambda number: -number)
    assert once.instructions > 0
    assert (twice.instructions, twice.c_calls) == (2 * once.instructions, 2 * once.c_calls)


@pytest.mark.parametrize(("cost", "fails"), [(900, False), (1100, False), (1101, True), (2000, True)])
def test_a_tenth_more_is_allowed_and_not_more(cost: int, fails: bool) -> None:
    assert bool(verdict("a path", cost, 1000)) == fails
