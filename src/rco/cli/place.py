"""Finding the database that a command works on, without a service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rco.cli.config_file import config_file
from rco.errors import ConfigInvalid
from rco.store.address import is_postgres, without_password
from rco.store.options import StoreOptions

__all__ = ["Place", "find_place"]


@dataclass(frozen=True)
class Place:
    """Where a store is. ``shown`` is ``where`` without its password."""

    where: str
    shown: str
    options: StoreOptions

    @property
    def is_postgres(self) -> bool:
        return is_postgres(self.where)

    def file(self, instead: str) -> Path:
        """The SQLite file. Raises ``ConfigInvalid`` with the cure ``instead`` when it is PostgreSQL."""
        if self.is_postgres:
            raise ConfigInvalid(
                "this works on a SQLite file, and the store is PostgreSQL", cure=instead, key="store.path"
            )
        return Path(self.where)

    def dsn(self, instead: str) -> str:
        """The address of the PostgreSQL database. Raises ``ConfigInvalid`` with the cure ``instead`` for a file."""
        if not self.is_postgres:
            raise ConfigInvalid(
                f"this works on PostgreSQL, and the store is the file {self.shown}", cure=instead, key="store.path"
            )
        return self.where


def find_place(config: Path | None, store: str | None) -> Place:
    """The store that a configuration, or ``--store``, names. Raises ``ConfigInvalid``."""
    from rco.config import Secrets, load

    settings = load(config_file(config), os.environ, {"store.path": store}).settings
    where = Secrets(os.environ).opened(settings.store.path)
    return Place(where, without_password(settings.store.path), settings.store)
