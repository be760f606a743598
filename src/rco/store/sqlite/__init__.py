"""The SQLite keeper: the whole store in one local file."""

from rco.store.sqlite.keeper import SqliteKeeper
from rco.store.sqlite.options import SqliteOptions

__all__ = ["SqliteKeeper", "SqliteOptions"]
