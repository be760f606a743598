"""How rounds come to a figure, and what the command says of them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from bench import rounds as running
from bench.figure import Asked, Measured, Reach, summed_up
from bench.machine import file_system
from bench.rounds import pairs, rounds_of, with_raw
from bench.show import show
from rich.console import Console

ROOT = Path(__file__).parents[3]
MACHINE = {
    "cpu": "x",
    "cores": 2,
    "memory_gib": 1,
    "kernel": "6",
    "file_system": "ext4",
    "python": "3",
    "sqlite": "3",
    "packages": {},
    "rco": "0",
    "commit": "c",
    "load_before": 0.5,
    "load_after": 0.5,
}


def rounds(*values: float, cpu: float | None = None) -> list[Measured]:
    return [Measured(name="it", value=value, cpu_s_per_1000=cpu, settings={"on": True}) for value in values]


def test_a_line_is_the_median_of_its_rounds_with_their_range() -> None:
    asked = Asked(name="it", text="it", unit="/s", reach=Reach(25))
    figure = summed_up(asked, rounds(10, 30, 20), [], store="sqlite", machine=MACHINE)
    assert (figure.value, figure.lowest, figure.highest, figure.rounds) == (20, 10, 30, 3)
    assert figure.reached is False
    assert figure.ratio is None


@pytest.mark.parametrize(
    ("reach", "value", "met"),
    [
        (Reach(5), 5, True),
        (Reach(5), 4.99, False),
        (Reach(5, at_most=True), 5, True),
        (Reach(5, at_most=True), 5.01, False),
    ],
)
def test_a_reach_is_met_at_its_bound_and_missed_beyond_it(reach: Reach, value: float, met: bool) -> None:
    assert reach.met(value) is met


@pytest.mark.parametrize(("compare", "ratio"), [("rate", 0.02), ("wait", 5.0), ("cpu", 40.0)])
def test_a_ratio_compares_what_is_alike(compare: str, ratio: float) -> None:
    asked = Asked(name="it", text="it", unit="ms", against="raw", compare=compare)
    raw = [Measured(name="raw", value=500.0, cpu_s_per_1000=0.25)]
    assert summed_up(asked, rounds(10), raw, store="sqlite", machine=MACHINE).ratio == pytest.approx(ratio)


def test_ratios_pair_the_rounds_that_ran_side_by_side() -> None:
    asked = Asked(name="it", text="it", unit="/s", against="raw", compare="rate")
    raw = [Measured(name="raw", value=value) for value in (100.0, 10.0, 1.0)]
    assert summed_up(asked, rounds(50, 5, 0.5), raw, store="sqlite", machine=MACHINE).ratio == 0.5


def test_a_question_brings_the_limits_it_is_held_against() -> None:
    assert with_raw(["steps"]) == ["bare", "steps"]
    assert with_raw(["webhooks"]) == ["http_floor", "bare", "webhooks"]
    assert with_raw(["start"]) == ["start"]


def test_a_question_is_asked_once_of_each_store_it_can_be_asked_of() -> None:
    both = ("sqlite", "postgresql")
    assert pairs(["help", "steps", "idle"], both) == [
        ("help", "-"),
        ("steps", "sqlite"),
        ("steps", "postgresql"),
        ("idle", "postgresql"),
    ]
    assert pairs(["steps", "idle"], ("sqlite",)) == [("steps", "sqlite")]


def test_a_store_may_have_a_reach_of_its_own() -> None:
    asked = Asked(name="it", text="it", unit="/s", reach=Reach(25), reach_on={"postgresql": Reach(15)})
    assert summed_up(asked, rounds(20), [], store="sqlite", machine=MACHINE).reached is False
    figure = summed_up(asked, rounds(20), [], store="postgresql", machine=MACHINE)
    assert (figure.reached, figure.reach) == (True, "≥ 15")


def test_the_table_says_what_was_not_reached_and_what_disturbed_it() -> None:
    asked = Asked(name="it", text="it", unit="/s", reach=Reach(25))
    figure = summed_up(asked, rounds(10), [], store="sqlite", machine=MACHINE)
    out = StringIO()
    show(Console(file=out, width=160), [figure], {**MACHINE, "load_after": 9.0, "file_system": "tmpfs"})
    text = out.getvalue()
    assert "not reached" in text
    assert "reached 0 of 1; not: it" in text
    assert "load average was 9.0" in text
    assert "a flush costs nothing" in text


def test_the_file_system_is_that_of_the_folder() -> None:
    assert file_system(Path("/proc")) == "proc"


@pytest.mark.parametrize(
    ("names", "told"), [(["takeover", "idle", "start"], ["takeover, idle", "start"]), (["idle"], ["idle"])]
)
def test_what_only_waits_is_asked_while_another_waits(
    names: list[str], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_round(name: str, *_: object) -> list[Measured]:
        return rounds(len(name)) if name != "idle" else [Measured(name="idle", value=1.0)]

    monkeypatch.setattr(running, "one_round", one_round)
    heard: list[str] = []
    found = rounds_of(
        pairs(names, ["postgresql"]),
        rounds=1,
        scale=1.0,
        folder=tmp_path,
        server="",
        tell=lambda _, name, __: heard.append(name),
    )
    assert heard == told
    assert [one.value for one in found["idle", "postgresql"]] == [1.0]
