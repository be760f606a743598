"""Migrations in dbmate's format (https://github.com/amacneil/dbmate), read and planned. Pure: each keeper's dialect
applies them in its own way.

The files lie under ``rco/store/migrations/<dialect>`` and, by a symbolic link, under ``db/migrations``, so that
``dbmate -d db/migrations/sqlite`` reads the very same ones. Both keep what was applied in ``schema_migrations``.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources

import msgspec

from rco.errors import SchemaOutdated, StoreError

__all__ = ["Migration", "Status", "known", "parse", "pending"]

_FILE = re.compile(r"([0-9]+)_?(.*)\.sql")
_MARK = re.compile(r"^--\s*migrate:(up|down)[ \t]*(\S.*)?$", re.MULTILINE)


class Migration(msgspec.Struct, frozen=True):
    """One file: the SQL of both directions. ``version`` is the number its name begins with."""

    version: str
    name: str
    up: str
    down: str


class Status(msgspec.Struct, frozen=True):
    """Whether one migration is applied. ``name`` is empty for a version that this code does not know."""

    version: str
    name: str
    applied: bool


def parse(file_name: str, text: str) -> Migration:
    """One migration from its file. Raises ``StoreError`` when the name or the marks are not dbmate's."""
    named = _FILE.fullmatch(file_name)
    if named is None:
        raise StoreError(f"{file_name!r} is no migration.", cure="Name it <number>_<what>.sql.")
    marks = list(_MARK.finditer(text))
    if [mark[1] for mark in marks] != ["up", "down"]:
        raise StoreError(f"{file_name} needs '-- migrate:up' and then '-- migrate:down', once each.")
    if any(mark[2] for mark in marks):
        raise StoreError(f"{file_name} has an option behind a mark.", cure="Each migration runs in one transaction.")
    first, second = marks
    return Migration(named[1], named[2], text[first.end() : second.start()].strip(), text[second.end() :].strip())


def known(dialect: str = "sqlite") -> list[Migration]:
    """The migrations that came with this code, oldest first.

    Raises ``StoreError`` when two have one version: the second would be taken for done.
    """
    folder = resources.files("rco.store.migrations").joinpath(dialect)
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    found = [parse(file.name, file.read_text("utf-8")) for file in files]
    for before, after in itertools.pairwise(found):
        if before.version == after.version:
            raise StoreError(
                f"{before.name} and {after.name} of {dialect} are both version {after.version}.",
                cure="Give the newer one a later number.",
            )
    return found


def pending(migrations: list[Migration], done: set[str]) -> list[Migration]:
    """What is still to be applied, oldest first.

    Raises ``SchemaOutdated`` when the database has a version that this code does not know: it was written by a newer
    one, and an older one must not guess what its tables mean.
    """
    unknown = sorted(done - {migration.version for migration in migrations})
    if unknown:
        raise SchemaOutdated(
            f"The schema is newer than this code: version {unknown[-1]} is unknown here.",
            cure="Install the release that wrote it, or go back one step with that release's `rco migrate --down`.",
        )
    return [migration for migration in migrations if migration.version not in done]
