"""Slopes, pictures and the written section: made from the points and from nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from bench.growth.fit import named, slope
from bench.growth.page import Grown, write_page
from bench.growth.plot import plot

MACHINE = {"commit": "abc", "cpu": "x", "cores": 2, "load_before": 1.0, "load_after": 1.0}


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.3, 1.0, 2.0])
def test_the_slope_of_a_power_law_is_its_exponent(exponent: float) -> None:
    points = [(float(x), 3.0 * x**exponent) for x in (10, 100, 1_000, 100_000)]
    assert slope(points) == pytest.approx(exponent, abs=1e-4)


def test_one_size_has_no_slope() -> None:
    assert slope([(10.0, 1.0)]) is None
    assert slope([(10.0, 1.0), (10.0, 2.0)]) is None


def test_slopes_have_names() -> None:
    assert [named(one) for one in (0.04, -0.3, 0.5, 1.0, 1.5)] == [
        "flat",
        "falls",
        "grows more slowly than in proportion",
        "in proportion",
        "grows faster than in proportion",
    ]


def test_a_picture_is_svg_with_a_point_for_each_value() -> None:
    text = plot("a <title>", "runs", "ms", [("one", [(1e3, 2.0), (1e6, 2.2)]), ("two", [(1e3, 5.0)])])
    root = ET.fromstring(text)
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 3
    across = [float(circle.attrib["cx"]) for circle in circles]
    assert across[0] == across[2] < across[1]
    # Up is more.
    assert float(circles[2].attrib["cy"]) < float(circles[1].attrib["cy"]) < float(circles[0].attrib["cy"])
    assert "one: slope 0.01" in text


def grown(x: int, value: float) -> Grown:
    return Grown(
        question="growth-nodes-cpu",
        curve="nodes",
        line="cpu",
        store="postgresql",
        x=x,
        value=value,
        unit="s",
        cpu_s_per_1000=value,
        settings={},
        machine=MACHINE,
    )


def test_the_section_says_what_was_reached_and_leaves_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\nBefore.\n")
    write_page(page, tmp_path / "performance", [grown(1, 0.020), grown(4, 0.021)])
    page.write_text(page.read_text() + "\nAfter.\n")
    assert "1.05 x, to reach ≤ 1.15: reached" in page.read_text()
    write_page(page, tmp_path / "performance", [grown(1, 0.020), grown(4, 0.030)])
    text = page.read_text()
    assert "1.50 x, to reach ≤ 1.15: not reached" in text
    assert "1.05" not in text
    assert text.startswith("# Performance\n\nBefore.\n")
    assert text.endswith("\nAfter.\n")
    assert "(performance/growth-nodes-cpu.svg)" in text
    assert (tmp_path / "performance" / "growth-nodes-cpu.svg").exists()
