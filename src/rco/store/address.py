"""Where a store is, as text: which kind it means, and how much of it may be shown."""

from __future__ import annotations

import re

from rco.errors import ConfigInvalid

__all__ = ["is_postgres", "server_of", "without_password"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_PASSWORD = re.compile(r"([?&]password=)[^&]*", re.IGNORECASE)


def is_postgres(where: str) -> bool:
    """Whether ``where`` is the address of a PostgreSQL database; else it is the path of a file.

    Raises ``ConfigInvalid`` for any other address: taken for a path it would be shown, with the password in it.
    """
    if where.startswith(("postgresql://", "postgres://")):
        return True
    other = _SCHEME.match(where)
    if other is not None:
        raise ConfigInvalid(
            f"there is no store of the kind {other[1]}:",
            cure="Give a SQLite file, or postgresql://user@host/database.",
            key="store.path",
        )
    return False


def without_password(where: str) -> str:
    """``where`` as it may be shown: an address without what stands between its colon and its at, or after
    ``password=``."""
    scheme, mark, rest = where.partition("://")
    user, at, host = rest.rpartition("@")
    return _PASSWORD.sub(r"\1...", f"{scheme}{mark}{user.partition(':')[0]}{at}{host}" if at else where)


def server_of(dsn: str) -> str:
    """The server and the database of an address, without user, password and options."""
    return dsn.partition("://")[2].rpartition("@")[2].partition("?")[0] or "the local socket"
