"""The reference of the configuration is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

from rco.config import load
from rco.config.reference import reference
from rco.config.settings import Settings

PAGE = Path(__file__).parents[3] / "docs/reference/config.md"


def test_the_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text() == reference(), "python -m rco.config.reference > docs/reference/config.md"


def test_every_setting_is_described() -> None:
    for row in re.findall(r"^\| `.*$", reference(), re.MULTILINE):
        assert row.split("|")[4].strip(), row


def test_every_default_of_the_page_is_one_that_can_be_written() -> None:
    rows = re.findall(r"^\| `\w+` \| `(.+?)` \| `(\w+)` \|", reference(), re.MULTILINE)
    assert len(rows) > 20
    settings = load(None, {variable: default for default, variable in rows}).settings
    assert settings == Settings(store=settings.store)
