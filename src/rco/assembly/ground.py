"""The ground of a service: what its parts are put together with, and what is there before any of them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rco.config.secrets import Secrets, kept_key
from rco.config.settings import Settings
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store.opening import IN_MEMORY
from rco.telemetry.logs import Level, Log
from rco.telemetry.metrics import Metrics

__all__ = ["Ground", "Stops", "lay_ground"]

Stops = list[Callable[[], Awaitable[Any]]]
"""What ends each part that was started, in the order of starting: the last is ended first."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A value for the life of a service: ``settings`` are those of its start, whatever is reloaded later."""

    settings: Settings
    clock: SystemClock
    ids: Ids
    metrics: Metrics
    log: Log
    secrets: Secrets
    stops: Stops
    began_us: int

    @property
    def data(self) -> Path:
        """The service's own folder. With amnesia there is none."""
        return Path(self.settings.data_dir)

    @property
    def where(self) -> str:
        """The database: a file, an address, or a reference to one that holds a password. With amnesia, memory."""
        if self.settings.amnesia.enabled:
            return IN_MEMORY
        return self.secrets.opened(self.settings.store.path or str(self.data / "rco.db"))

    def own_key(self, name: str) -> bytes:
        """32 secret bytes of this service: kept in its folder, with amnesia made anew at each start."""
        return _own_key(self.settings, self.ids, name)

    def warn(self, event: str) -> Callable[[BaseException], None]:
        """What tells the log that something goes on with what it had."""
        return lambda problem: self.log.warning(event, error=problem)


def lay_ground(
    settings: Settings, environ: Mapping[str, str], clock: SystemClock, ids: Ids, metrics: Metrics, stops: Stops
) -> Ground:
    """Make the folder, open the log. Raises ``OSError`` where the folder cannot be made."""
    if not settings.amnesia.enabled:
        Path(settings.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    log = Log(
        sys.stdout,
        clock,
        readable=settings.logging.format == "console",
        pseudonym_key=_own_key(settings, ids, "pseudonym.key"),
        level=Level[settings.logging.level.upper()],
    )
    return Ground(settings, clock, ids, metrics, log, Secrets(environ), stops, clock.now_us())


def _own_key(settings: Settings, ids: Ids, name: str) -> bytes:
    if settings.amnesia.enabled:
        return bytes.fromhex(ids.token(32))
    return kept_key(Path(settings.data_dir) / name, ids)
