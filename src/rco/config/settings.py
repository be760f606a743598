"""The settings: one frozen value, made by ``rco.config.load`` and taken apart by ``rco.app``.

A field is written in the file without its unit: ``read_timeout_s`` is ``read_timeout: 5s``, ``body_limit_bytes`` is
``body_limit: 1MiB``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rco.audit.options import AuditOptions
from rco.bridge.brownout import BrownoutSettings
from rco.bridge.contract import ProviderSettings
from rco.bridge.decompression import DecompressionLimits
from rco.bridge.forgetful import AmnesiaOptions
from rco.brokers.options import BrokerSettings
from rco.capability.options import CapabilityOptions, VaultOptions
from rco.datasource.options import Database, Outbox
from rco.encryption.options import EncryptionOptions
from rco.engine.options import EngineOptions
from rco.model.grant_rule import GrantRule
from rco.model.namespace import Quotas
from rco.model.queue import Queue
from rco.model.retention import RetentionOptions
from rco.model.schedule import ScheduleSpec
from rco.model.subscription import Subscription
from rco.model.target import NamespaceLimits, Target
from rco.objects.options import ContentOptions, ObjectOptions
from rco.payloads.options import PayloadOptions
from rco.queues.options import QueueOptions
from rco.relay.options import PublishSettings, SourceSettings
from rco.scheduler.options import SchedulerOptions
from rco.server.graphql.options import GraphqlOptions
from rco.server.tls import TlsOptions
from rco.store.options import StoreOptions
from rco.telemetry.tracing_options import TracingOptions
from rco.webhooks.options import WebhookOptions

__all__ = [
    "MEMORY",
    "LimitSettings",
    "LogSettings",
    "ServerSettings",
    "Settings",
    "StoreSettings",
]

MEMORY = ":memory:"
"""Where the store is with amnesia."""

Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class StoreSettings(StoreOptions, frozen=True, kw_only=True):
    """Where the state lives, and how a PostgreSQL store is used."""

    path: str = ""
    """A SQLite file, `postgresql://...`, or a reference to an address that holds a password (`env:NAME`, `file:/path`).
    Empty: `rco.db` in `data_dir`."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses (``host:port``) and the limits of a connection."""

    bind_addr: str = "127.0.0.1:8080"
    """Webhooks and the control API."""
    metrics_addr: str = "127.0.0.1:9909"
    """Metrics and health, for the inside only."""
    max_conns: Count = 512
    """The most connections at the same time."""
    read_timeout_s: Seconds = 5.0
    """Headers and body of a request must be there within it."""
    idle_timeout_s: Seconds = 60.0
    """A connection without a request is closed within it; the HTTP server does so after `read_timeout` already."""
    handler_timeout_s: Seconds = 5.0
    """A webhook that is not durable within it is answered 503; its sender asks again."""
    trusted_proxies: list[str] = []
    """Networks (`10.0.0.0/8`) whose `X-Forwarded-For` tells the caller's address. Empty: nobody's does."""
    drain_timeout_s: Seconds = 5.0
    """What is under way at a stop may take so long."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one node takes before it refuses."""

    max_rps: Annotated[float, Meta(gt=0, le=1_000_000)] = 500.0
    """Webhooks a second; over it 429 with the time to wait."""
    burst_rps: Count = 250
    """So many may come at once."""
    caller_rps: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    """Webhooks a second of one caller's address (of one /64 for IPv6). Not given: callers are not told apart."""
    caller_burst: Count = 50
    """So many of one caller may come at once."""
    body_limit_bytes: Annotated[int, Meta(ge=1024, le=64 << 20)] = 1 << 20
    """The largest body of a request."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """JSON lines on standard output for machines, ``console`` for people."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is less grave is not written."""
    format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Secrets stand in it by reference only."""

    app: str = ""
    """The application: a module (``package.module``) or a file (``app.py``) that defines workflows."""
    app_version: str = ""
    """The version of the application: runs are pinned to it, and go on only where it is. `auto`: a digest of its
    sources. Empty: no versions, and this node takes every run."""
    apps: dict[str, str] = {}
    """Instead of `app`, several versions side by side, each by its name; `app_version` says which new runs begin
    with."""
    data_dir: str = ".rco"
    store: StoreSettings = StoreSettings()
    server: ServerSettings = ServerSettings()
    tls: TlsOptions = TlsOptions()
    limits: LimitSettings = LimitSettings()
    engine: EngineOptions = EngineOptions()
    brownout: BrownoutSettings = BrownoutSettings()
    decompression: DecompressionLimits = DecompressionLimits()
    logging: LogSettings = LogSettings()
    audit: AuditOptions = AuditOptions()
    tracing: TracingOptions = TracingOptions()
    amnesia: AmnesiaOptions = AmnesiaOptions()
    capability: CapabilityOptions = CapabilityOptions()
    encryption: EncryptionOptions = EncryptionOptions()
    vault: VaultOptions = VaultOptions()
    objects: ObjectOptions = ObjectOptions()
    content: ContentOptions = ContentOptions()
    payloads: PayloadOptions = PayloadOptions()
    graphql: GraphqlOptions = GraphqlOptions()
    retention: RetentionOptions = RetentionOptions()
    namespaces: dict[str, Quotas] = {}
    """Tenants by name, each with its quotas; what is not given is not bounded. ``default`` is always there."""
    webhooks: WebhookOptions = WebhookOptions()
    providers: dict[str, ProviderSettings] = {}
    targets: dict[str, Target] = {}
    databases: dict[str, Database] = {}
    outboxes: dict[str, Outbox] = {}
    namespace_limits: list[NamespaceLimits] = []
    """Limits of all calls of a namespace, whatever their target."""
    subscriptions: list[Subscription] = []
    grants: list[GrantRule] = []
    scheduler: SchedulerOptions = SchedulerOptions()
    schedules: dict[str, ScheduleSpec] = {}
    """Schedules that exist for as long as they stand here."""
    queues: dict[str, Queue] = {}
    """Where runs wait for their turn, by name."""
    dispatcher: QueueOptions = QueueOptions()
    brokers: dict[str, BrokerSettings] = {}
    """What carries events in and out, by name."""
    publish: list[PublishSettings] = []
    """What is told to which broker."""
    sources: dict[str, SourceSettings] = {}
    """Events that brokers bring, by the name of the source."""
    calendars: dict[str, list[str]] = {}
    """Named lists of dates (``2026-12-25``) that schedules may leave out or keep to."""

    @property
    def any_large(self) -> bool:
        """Whether a provider may send what is streamed to the content store."""
        return any(one.large_body_limit_bytes is not None for one in self.providers.values())
