"""Defining workflows, and what is refused when one is defined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rco.errors import ConfigInvalid, Misuse
from rco.workflow import Context, On, workflow
from rco.workflow.application import load_application


def test_a_plain_decorator_takes_the_functions_name() -> None:
    @workflow
    async def fulfil(ctx: Context, order: dict[str, Any]) -> str:
        """Ship it."""
        return ""

    assert fulfil.name == "fulfil"
    assert fulfil.__doc__ == "Ship it."
    assert fulfil.subscriptions() == []


def test_events_become_subscriptions() -> None:
    @workflow(on=["a.b", On("c.*", source="/x", where=".data.big", key=".data.id")], name="other")
    async def fulfil(ctx: Context, order: dict[str, Any]) -> None: ...

    first, second = fulfil.subscriptions()
    assert (first.type, first.workflow, first.source) == ("a.b", "other", "*")
    assert (second.type, second.source, second.where, second.key) == ("c.*", "/x", ".data.big", ".data.id")
    assert first.name != second.name


def test_calling_a_workflow_says_what_to_do_instead() -> None:
    @workflow
    async def fulfil(ctx: Context, order: int) -> None: ...

    with pytest.raises(Misuse, match=r"ctx\.child\(fulfil"):
        fulfil(1)


def test_a_plain_function_is_refused() -> None:
    with pytest.raises(Misuse, match="async def"):

        @workflow  # type: ignore[arg-type]
        def fulfil(ctx: Context, order: int) -> None: ...


def test_another_number_of_arguments_is_refused() -> None:
    with pytest.raises(Misuse, match="takes 3 arguments"):

        @workflow  # type: ignore[arg-type]
        async def fulfil(ctx: Context, order: int, more: int) -> None: ...


def test_the_version_follows_the_code_and_not_its_place() -> None:
    def make(text: str) -> str:
        scope: dict[str, Any] = {"workflow": workflow}
        exec(text, scope)
        return str(scope["f"].version)

    source = "@workflow\nasync def f(ctx, given):\n    return {}\n"
    assert make(source.format(1)) == make("\n\n\n" + source.format(1))
    assert make(source.format(1)) != make(source.format(2))


TWICE = """
from rco.workflow import workflow

@workflow
async def a(ctx, x): ...

@workflow(name='a')
async def b(ctx, x): ...
"""
APP = """
from rco.workflow import Context, workflow
from part import GREETING

@workflow
async def greet(ctx: Context, name: str) -> str:
    return GREETING + name
"""


def test_an_application_is_read_afresh_each_time_with_its_parts(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "part.py").write_text("GREETING = 'hello '")
    first = load_application(str(tmp_path / "app.py"))
    assert [one.name for one in first.workflows] == ["greet"]
    assert first.folder == str(tmp_path)
    (tmp_path / "part.py").write_text("GREETING = 'good day, dear '")
    second = load_application(str(tmp_path / "app.py"))
    assert second.workflows[0].function.__globals__["GREETING"] == "good day, dear "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "no workflow in it"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("\n\n1 / 0", "app.py:3: ZeroDivisionError"),
        (
            TWICE,
            "two workflows are named 'a'",
        ),
    ],
)
def test_an_application_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "app.py"
    path.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_application(str(path))
    assert told in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such file"):
        load_application(str(tmp_path / "absent.py"))
    with pytest.raises(ConfigInvalid, match="ModuleNotFoundError"):
        load_application("absent.module_of_mine")


def test_a_workflow_names_its_retention_class() -> None:
    @workflow(retention="financial")
    async def pay(ctx: Context, amount: int) -> None: ...

    assert pay.retention == "financial"
