"""Links inside the repository lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def broken_links(page: Path, root: Path) -> list[str]:
    """The links of ``page`` that lead to no file, or to no heading in one."""
    found = []
    for match in _LINK.finditer(_FENCED.sub("", page.read_text())):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        goal = (page.parent / path).resolve() if path else page
        outside = not goal.is_relative_to(root)
        if outside or not goal.exists() or (heading and heading not in anchors(goal)):
            found.append(link)
    return found


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page have on the web."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, ROOT) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](page.md) [b](#one-thing) [c](gone.md) [d](#nothing) ![e](../out.svg)\n")
    assert broken_links(page, tmp_path.resolve()) == ["gone.md", "#nothing", "../out.svg"]


def test_every_how_to_page_is_on_the_page_that_lists_them() -> None:
    folder = ROOT / "docs" / "how-to"
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}
