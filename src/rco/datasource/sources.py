"""The databases of the users that are declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rco.errors import Misuse

if TYPE_CHECKING:
    from rco.datasource.steps import Datasource

__all__ = ["Datasources"]


class Datasources:
    """The databases there are, by name."""

    def __init__(self, sources: Mapping[str, Datasource]) -> None:
        self._sources = dict(sources)

    def __call__(self, name: str) -> Datasource:
        """Raises ``Misuse`` for one that is not declared."""
        source = self._sources.get(name)
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            raise Misuse(f"no database {name!r} is declared.", cure=f"Declare it under databases (known: {known}).")
        return source

    def __iter__(self) -> Any:
        return iter(self._sources.values())

    async def stop(self) -> None:
        for source in self._sources.values():
            await source.stop()
