"""Where in an application an error was raised."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rco.errors import Misuse
from rco.kit.clock import parse_iso
from rco.kit.places import place_of


def its_own() -> None:
    raise ValueError("no luck")


def of_the_library() -> None:
    json.loads("{")


def of_ours() -> None:
    parse_iso("yesterday")


@pytest.mark.parametrize("work", [its_own, of_the_library, of_ours])
def test_it_is_the_innermost_line_of_the_application(work: Callable[[], None]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever it says
        work()
    line = work.__code__.co_firstlineno + 1
    assert place_of(caught.value) == f"test_places.py:{line} in {work.__name__}"


def test_an_error_that_was_never_raised_has_none() -> None:
    assert place_of(Misuse("x")) == ""
