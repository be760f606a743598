"""What the pages for newcomers say is done here as it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Reader, blocks
from tests.servers.postgres import PostgresServer

PAGES = [ROOT / "README.md", ROOT / "docs/quickstart.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text()
    environ = {"SHOP_DSN": request.getfixturevalue("empty_dsn")} if "$SHOP_DSN" in text else {}
    reader = Reader(tmp_path, environ)
    try:
        for block in blocks(text):
            reader.do(block)
    finally:
        reader.close()


@pytest.fixture
def empty_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """What pages call the shop's database: one of a user's own, with nothing in it."""
    name = "page_shop"
    postgres_server.query("postgres", f"CREATE DATABASE {name}")
    yield postgres_server.dsn(name)
    postgres_server.drop(name)
    # Roles are the server's; a page makes at most this one.
    postgres_server.query("postgres", "DROP ROLE IF EXISTS page_application")


def test_code_that_does_not_work_is_found(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    good, bad, mute = blocks("```sh\necho one two\n```\n```sh\nfalse\n```\n```ruby\nputs 1\n```\n")
    reader.do(good)
    for broken in (bad, mute, next(blocks("```text output\none three\n```\n"))):
        with pytest.raises(AssertionError):
            reader.do(broken)
    reader.do(good)
    reader.do(next(blocks("```text output\none …\n```\n")))
    with pytest.raises(AssertionError):
        reader.do(next(blocks("```sh checkout\nmake no-such-target\n```\n")))


def test_the_workflow_in_the_readme_has_about_twenty_lines() -> None:
    python = [block for block in blocks((ROOT / "README.md").read_text()) if block.language == "python"]
    assert len(python) == 1
    assert len(python[0].code.splitlines()) <= 22
