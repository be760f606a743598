"""The settings: one frozen value, made by ``rco.config.load`` and taken apart by ``rco.app``.

A field is written in the file without its unit: ``read_timeout_s`` is ``read_timeout: 5s``, ``body_limit_bytes`` is
``body_limit: 1MiB``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rco.bridge.contract import ProviderSettings
from rco.engine.options import EngineOptions
from rco.model.subscription import Subscription
from rco.model.target import Target

__all__ = [
    "LimitSettings",
    "LogSettings",
    "ServerSettings",
    "Settings",
    "StoreSettings",
]

Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the state lives. ``path`` is a SQLite file, the address of a PostgreSQL database (``postgresql://...``), or
    a reference to an address that holds a password (``env:NAME``, ``file:/path``); empty means ``rco.db`` in
    ``data_dir``."""

    path: str = ""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses (``host:port``) and the limits of a connection."""

    bind_addr: str = "127.0.0.1:8080"
    metrics_addr: str = "127.0.0.1:9909"
    max_conns: Count = 512
    read_timeout_s: Seconds = 5.0
    drain_timeout_s: Seconds = 5.0


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one node takes before it refuses."""

    max_rps: Annotated[float, Meta(gt=0, le=1_000_000)] = 500.0
    burst_rps: Count = 250
    body_limit_bytes: Annotated[int, Meta(ge=1024, le=64 << 20)] = 1 << 20


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """JSON lines on standard output for machines, ``console`` for people."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Secrets stand in it by reference only."""

    app: str = ""
    """The application: a module (``package.module``) or a file (``app.py``) that defines workflows."""
    data_dir: str = ".rco"
    store: StoreSettings = StoreSettings()
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    engine: EngineOptions = EngineOptions()
    logging: LogSettings = LogSettings()
    providers: dict[str, ProviderSettings] = {}
    targets: dict[str, Target] = {}
    subscriptions: list[Subscription] = []
