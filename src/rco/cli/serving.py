"""``rco serve`` as it stands in unit files and containers, read here: a service is ready a tenth sooner without what
parses every other command.

Only what has one meaning is read: ``serve`` and its options, each once and each with a value. Everything else, wrong or
not, is for the parser, which says what it means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["OPTIONS", "serve", "serving"]

OPTIONS = {"--config": "config", "--app": "app", "--app-version": "app_version", "--store": "store", "--bind": "bind"}


def serving(arguments: list[str]) -> dict[str, Any] | None:
    """What to call ``rco.cli.serve.serve`` with, or ``None`` when the parser is to look."""
    if arguments[:1] != ["serve"]:
        return None
    given: dict[str, Any] = {}
    rest = iter(arguments[1:])
    for one in rest:
        option, equals, value = one.partition("=")
        name = OPTIONS.get(option)
        if name is None or name in given:
            return None
        if not equals:
            value = next(rest, "")
        if not value or value.startswith("-"):
            return None
        given[name] = Path(value) if name == "config" else value
    return given


def serve(given: dict[str, Any]) -> int:
    """Do what ``serving`` has read."""
    from rco.cli.serve import serve as command

    return command(**given)
