"""What the authors' API needs of who commits steps with the user's own rows: ``rco.datasource`` stands behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from rco.errors import Misuse
from rco.model.effect import Attempt

__all__ = ["Isolation", "Transactions", "Transactor", "no_databases"]

Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Transactor(Protocol):
    """Makes one attempt of a step whose result commits together with what its function writes."""

    def perform(
        self,
        function: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        fingerprint: bytes,
        isolation: Isolation | None,
        timeout_s: float | None,
        attempt: Attempt,
    ) -> Awaitable[Any]: ...


Transactions = Callable[[str], Transactor]
"""The database of this name. Raises ``Misuse`` for one that is not declared."""


def no_databases(name: str) -> Transactor:
    """Where none is declared."""
    raise Misuse(f"no database {name!r} is declared.", cure="Declare it under databases in the configuration.")
