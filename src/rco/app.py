"""The wiring: settings in, a running service out. No decision is made here."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from rco import __version__
from rco.audit.chain import ChainSealer
from rco.audit.opening import open_trail
from rco.bridge.admission import AdmissionLimits, Turnstile, open_routes
from rco.bridge.brownout import Sentinel
from rco.bridge.certificates import Certificates
from rco.bridge.dependency import Dependency
from rco.bridge.forgetful import Forgetful
from rco.capability.fresh_ring import FreshRing
from rco.capability.office import Office
from rco.capability.source import KeptRing, Load, source_of
from rco.config.check import calendars_of, check_address
from rco.config.explain import diff
from rco.config.rings import payload_ring
from rco.config.secrets import Secrets, kept_key
from rco.config.settings import Settings
from rco.datasource.cleaning import Cleaner
from rco.datasource.entry import Entry, Handled
from rco.datasource.options import Outbox
from rco.datasource.outbox import OutboxReader
from rco.datasource.steps import Datasource, Datasources
from rco.egress.client import Egress
from rco.egress.fetch import Fetcher, system_roots
from rco.egress.sharing import Sharing
from rco.encryption.keys import Keys
from rco.engine.children import as_it_is
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.program import Program, Programs
from rco.errors import ConfigInvalid, RcoError
from rco.expr.jq import Expression
from rco.kit import memory
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.queue import Queue
from rco.model.schedule import Schedule
from rco.objects.content import ContentStore
from rco.objects.contract import Objects
from rco.operations.access import Access, mint_token
from rco.operations.bulk_run import bulk_program
from rco.operations.clearance import OPEN, GrantFor, Granting
from rco.operations.deliver_run import deliver_program
from rco.operations.desk import Desk
from rco.operations.first_admin import ensure_admin, given_admin
from rco.operations.namespaces import declare_namespaces
from rco.operations.observe import observe, observe_history
from rco.operations.observe_queues import observe_queues
from rco.operations.observe_schedules import observe_schedules
from rco.operations.outbox_entry import take_entry
from rco.operations.payload_gc import PayloadGc
from rco.operations.payload_meter import PayloadMeter
from rco.operations.policy import Policy
from rco.operations.receive import emitted, receive
from rco.operations.relaying import Relaying, say_goodbye
from rco.operations.retention import Retention
from rco.operations.schedule_declared import check_declared, keep_declared
from rco.operations.spaces import Spaces
from rco.operations.store_health import StoreHealth
from rco.operations.unwell import Unwell
from rco.operations.version_run import move_program
from rco.operations.versions import announce
from rco.payloads.fetching import fetching
from rco.payloads.keeping import PayloadStore
from rco.queues.dispatcher import Dispatcher
from rco.router.table import RoutingTable
from rco.scheduler.quota import Quota
from rco.scheduler.rules import rules_of
from rco.scheduler.scheduler import Scheduler
from rco.server.asgi import Root
from rco.server.caller import CallerOf
from rco.server.deferred import Deferred
from rco.server.framing import App
from rco.server.health import Health, ReadyCheck
from rco.server.ingress import Ingress
from rco.server.metrics import MetricsApp
from rco.server.serving import Listener
from rco.store.contract.keeper import Keeper
from rco.store.opening import IN_MEMORY, migrate_up, need_postgres, start_keeper
from rco.telemetry import signals
from rco.telemetry.logs import Level, Log, bridge_stdlib
from rco.telemetry.metrics import Metrics
from rco.webhooks.book import ORDERED, Book
from rco.webhooks.hooks import Hooks
from rco.webhooks.safe import Safe, sealing_key
from rco.webhooks.sender import Sender
from rco.workflow.guard import install_guard
from rco.workflow.versions import Versions, load_versions

__all__ = ["Service", "build"]

TOKEN_CHARS_MIN = 32
"""A token that is given must be as hard to guess as one that is made."""


async def build(settings: Settings, *, environ: dict[str, str] | None = None, migrating: bool = False) -> Service:
    """A service for ``settings``, ready to be started on this loop.

    ``migrating`` brings the schema up to date first, as ``rco dev`` does. Raises ``ConfigInvalid`` for what cannot be
    used and ``Misuse`` for an application that cannot be replayed; then nothing was started.
    """
    versions = await asyncio.to_thread(_load, settings, migrating)
    _queues_declared(settings, versions)
    return Service(settings, versions, dict(os.environ) if environ is None else environ, migrating=migrating)


class Service:
    """One node: keeper, engine, bridge, egress and the servers, started and stopped together."""

    def __init__(self, settings: Settings, versions: Versions, environ: dict[str, str], *, migrating: bool) -> None:
        self.settings = settings
        self._versions = versions
        self._environ = environ
        self._migrating = migrating
        self._granting: Granting | None = None
        self._contents: ContentStore | None = None
        self._opened_objects: Objects | None = None
        self._clock = SystemClock()
        self._began_us = self._clock.now_us()
        self._ids = Ids(self._clock)
        self.metrics = Metrics()
        self._data = Path(settings.data_dir)
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        self._stops: list[Callable[[], Awaitable[Any]]] = []
        self._kept: RcoError | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up; returns when requests are answered. After an error everything is down again."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drain and stop, in the opposite order of starting. May be called before ``start``, and twice."""
        if hasattr(self, "_ingress"):
            self._ingress.drain()
            if self._stops:
                self._note_node("stopped")
        while self._stops:
            await self._stops.pop()()

    async def _start(self) -> None:
        settings, clock, ids = self.settings, self._clock, self._ids
        install_guard()
        amnesia = settings.amnesia.enabled
        if not amnesia:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = Log(
            sys.stdout,
            clock,
            readable=settings.logging.format == "console",
            pseudonym_key=self._own_key("pseudonym.key"),
            level=_level(settings),
        )
        bridge_stdlib(self.log)
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        self._secrets = Secrets(self._environ)
        where = self._where()
        if self._migrating:
            await migrate_up(where)
        keeper, node = await start_keeper(
            where,
            clock=clock,
            ids=ids,
            sealer=ChainSealer(),
            host=socket.gethostname(),
            options=msgspec.structs.replace(settings.store, direct_dsn=self._secrets.opened(settings.store.direct_dsn)),
        )
        self._stops.append(keeper.stop)
        self._keeper, self._node = keeper, node
        keeper.writer.on_failure(self._broken)
        self._trail = open_trail(
            settings.audit,
            store=keeper.writer.note,
            now_us=clock.now_us(),
            metrics=self.metrics,
            trouble=self._sink_failed,
        )
        self._stops.append(self._end_trail)
        await self._first_admin(keeper)

        executor = ThreadPoolExecutor(settings.engine.step_threads, thread_name_prefix="rco-step")
        self._stops.append(partial(asyncio.to_thread, executor.shutdown, wait=False, cancel_futures=True))
        self._executor = executor
        self._egress = Egress(
            settings.targets.values(),
            clock=clock,
            ids=ids,
            resolve_secret=self._secrets,
            metrics=self.metrics,
            may_send=lambda: clock.monotonic() < keeper.ownership.act_until_s,
            sharing=Sharing(
                keeper.reader,
                f"{node}#{keeper.epoch}",
                clock,
                leased=keeper.ownership.shards() is not None,
                random=random.random,
                trouble=lambda problem: self.log.warning("limits.behind", error=problem),
            ),
            namespaces={one.namespace: one for one in settings.namespace_limits},
        )
        await self._egress.start()
        self._stops.append(self._egress.stop)
        self._spaces = Spaces(
            keeper.reader, keeper.writer, lambda problem: self.log.warning("namespaces.behind", error=problem)
        )
        fetcher = Fetcher()
        self._stops.append(fetcher.stop)
        self._certificates = Certificates(fetcher, self._clock, system_roots)
        await self._grant(settings, keeper)
        self._datasources = self._sources(settings, keeper)
        self._stops.append(self._datasources.stop)
        keys = await self._encrypt(settings, keeper)
        opened = keeper.reader
        if keys is not None:
            from rco.encryption.revealing import revealing

            opened = revealing(opened, keys)
        payloads = await self._payloads(settings, keeper, keys)
        opened = fetching(opened, payloads, self._payload_trouble)
        await announce(keeper.reader, node, self._versions.digests, self._versions.name, clock.now_us())
        programs = Programs(*self._programs(self._versions))
        engine = Engine(
            keeper.writer,
            opened,
            programs,
            self._starts,
            clock=clock,
            ids=ids,
            random=random.random,
            options=settings.engine,
            ownership=keeper.ownership,
            inherit=as_it_is if self._granting is None else self._granting.authority.inherited,
            payloads=payloads,
        )
        keeper.on_mail(engine.wake)
        assert self._egress.gates is not None
        self._egress.gates.on_opened = engine.hasten
        calendars = calendars_of(settings)
        scheduler = Scheduler(
            engine,
            keeper.writer,
            opened,
            keeper.ownership,
            clock=clock,
            ids=ids,
            options=settings.scheduler,
            calendars=calendars,
            rules=rules_of(calendars),
            clear=self._clear_schedule,
        )
        hooks = self._hooks = await self._outgoing(settings, keeper)
        dispatcher = Dispatcher(
            engine,
            keeper.writer,
            keeper.reader,
            keeper.ownership,
            clock=clock,
            queues=_queues(settings, hooks.book),
            options=settings.dispatcher,
        )
        self._desk = Desk(
            engine=engine,
            scheduler=scheduler,
            dispatcher=dispatcher,
            quota=Quota(keeper.reader, clock, settings.scheduler.schedules_limit),
            writer=keeper.writer,
            reader=opened,
            router=self._table(settings, self._versions),
            targets=self._egress,
            clock=clock,
            ids=ids,
            metrics=self.metrics,
            log=self.log,
            retention=Retention(keeper.retaining, settings.retention),
            payload_gc=None if payloads is None else self._payload_gc(settings, payloads, keeper),
            spaces=self._spaces,
            clearance=self._granting or OPEN,
            namespace_keys=keys,
            webhooks=hooks,
            key_lead_s=settings.encryption.lead_s,
            shut=self._shut,
            trail=self._trail if self._trail.sinks else None,
            info={"node": node, "version": __version__, "epoch": str(keeper.epoch)},
        )
        hooks.book.on_ordered = lambda: dispatcher.reload(_queues(self.settings, hooks.book))
        observe(engine, keeper.writer, self.metrics, clock, self.log)
        observe_history(keeper, self.metrics, self.log)
        observe_schedules(scheduler, self.metrics, self.log)
        observe_queues(dispatcher, self.metrics, self.log)
        check_declared(self._desk, settings.schedules)
        self.metrics.gauge(signals.INFO, version=__version__).set(1)
        self._note_node("started")
        self._note_sinks("sink_opened")
        # Opened before the first run goes on: a call must not fail because a secret is missing only later.
        turnstile = Turnstile(_limits(settings), clock)
        turnstile.replace(self._routes(settings))
        self._turnstile = turnstile
        if amnesia:
            forgetting = asyncio.create_task(self._forget(), name="rco-amnesia")
            self._stops.append(lambda: stop_task(forgetting))
        await declare_namespaces(self._desk, settings.namespaces)
        await self._spaces.start()
        self._stops.append(self._spaces.stop)
        self._desk.retention.begin(self._desk)
        self._stops.append(self._desk.retention.stop)
        await engine.start()
        if self._desk.payload_gc is not None:
            self._desk.payload_gc.begin(self._desk)
            self._stops.append(self._desk.payload_gc.stop)
        self._stops.append(partial(engine.stop, settings.server.drain_timeout_s))
        await scheduler.start()
        self._stops.append(scheduler.stop)
        for source in self._datasources:
            cleaner = Cleaner(source, keeper.reader, keeper.ownership, self.metrics, self._cleaning_failed)
            await cleaner.start()
            self._stops.append(cleaner.stop)
        await dispatcher.start()
        self._stops.append(dispatcher.stop)
        for outbox in settings.outboxes.values():
            reader = OutboxReader(
                outbox,
                self._datasources(outbox.database),
                partial(self._entry, outbox),
                clock=clock,
                metrics=self.metrics,
                trouble=self._outbox_failed,
            )
            await reader.start()
            self._stops.append(reader.stop)
        if keys is not None:
            await self._watch_erasure(keys, engine, scheduler, keeper)
        self._declared: asyncio.Task[None] | None = None
        self._declare(settings)
        self._stops.append(lambda: stop_task(self._declared))
        self._sentinel = Sentinel(settings.brownout, clock.monotonic())
        self._store = Dependency(
            "store",
            StoreHealth(keeper.reader, keeper.writer, clock).probe,
            clock=clock,
            metrics=self.metrics,
            told=self._sentinel.asked,
        )
        unwell = Unwell(
            self._sentinel,
            lambda: self._desk,
            lambda: keeper.writer.backlog / settings.engine.backlog_limit,
            (self._store,),
        )
        await unwell.start()
        self._stops.append(unwell.stop)
        self._ingress = Ingress(
            turnstile=turnstile,
            receive=lambda delivery: receive(self._desk, delivery),
            note=self._trail.note,
            clock=clock,
            ids=ids,
            metrics=self.metrics,
            log=self.log,
            read_timeout_s=settings.server.read_timeout_s,
            handler_timeout_s=settings.server.handler_timeout_s,
            decompression=settings.decompression,
            caller_of=CallerOf(settings.server.trusted_proxies),
            sentinel=self._sentinel,
        )
        await self._listen(settings, keeper)
        await self._relay(settings, keeper, node)
        memory.settle()
        self.log.info("service.started", url=self.url, version=__version__)

    async def _first_admin(self, keeper: Keeper) -> None:
        if self.settings.amnesia.enabled:
            await self._fleeting_admin(keeper)
            return
        file = self._data / "admin.token"
        first = await ensure_admin(keeper.reader, self._clock, self._ids, file, host=socket.gethostname())
        if first.made:
            self.log.info("admin.made", file=first.where)
        elif first.where and not file.exists():
            # Another node was first on this database: its file holds the token.
            self.log.info("admin.elsewhere", file=first.where)

    async def _relay(self, settings: Settings, keeper: Keeper, node: str) -> None:
        relaying = Relaying(
            settings.brokers,
            settings.publish,
            settings.sources,
            desk=lambda: self._desk,
            reader=keeper.reader,
            ownership=keeper.ownership,
            opened=self._secrets.opened,
            node=node,
            random=random.random,
        )
        if settings.publish:
            keeper.writer.on_flush(lambda _: relaying.wake())
        await relaying.start()
        self._stops.append(relaying.stop)
        self._stops.append(lambda: say_goodbye(self._desk))

    def _own_key(self, name: str) -> bytes:
        """32 secret bytes of this service: kept in its folder, with amnesia made anew at each start."""
        if self.settings.amnesia.enabled:
            return bytes.fromhex(self._ids.token(32))
        return kept_key(self._data / name, self._ids)

    async def _fleeting_admin(self, keeper: Keeper) -> None:
        """The administrator of a service that writes no file: of a token that is given, or printed once, or nobody."""
        options = self.settings.amnesia
        if options.admin_token:
            token = self._secrets(options.admin_token)
            if len(token) < TOKEN_CHARS_MIN:
                raise ConfigInvalid(
                    f"the token has {len(token)} characters, and needs {TOKEN_CHARS_MIN}",
                    cure="Make one: openssl rand -hex 32.",
                    key="amnesia.admin_token",
                )
            await given_admin(keeper.reader, self._clock, token, origin=options.admin_token)
        elif options.print_token:
            token = mint_token(self._ids)
            await given_admin(keeper.reader, self._clock, token, origin="standard output")
            # Past the log, which would mask it: it is what was asked for, once.
            sys.stdout.write(msgspec.json.encode({"event": "admin.token", "token": token}).decode() + "\n")
            sys.stdout.flush()
        else:
            self.log.warning("admin.none", detail="amnesia has neither admin_token nor print_token")

    async def _forget(self) -> None:
        """Let go of secrets and of the keys made of them, every ``purge_s``; they are read again when needed."""
        while True:
            await asyncio.sleep(self.settings.amnesia.purge_s)
            self._secrets.forget()
            for route in self._turnstile.routes.values():
                if isinstance(route.verifier, Forgetful):
                    route.verifier.forget()
            self.log.debug("amnesia.purged")

    async def _encrypt(self, settings: Settings, keeper: Keeper) -> Keys | None:
        """Open the keys of namespaces, where there may be any."""
        if not settings.encryption.keys:
            if (await keeper.reader.namespace_keys(0, 1)).keys:
                raise ConfigInvalid(
                    "the store holds keys of namespaces, and encryption.keys is not set: their payloads would be"
                    " written as they are",
                    cure="Set encryption.keys as on the other nodes.",
                    key="encryption.keys",
                )
            return None
        from rco.encryption.concealing import Concealing
        from rco.encryption.keys import Keys

        ring = KeptRing(
            source_of(payload_ring(settings), settings.vault, self._data / "keyring.json", self._secrets),
            trouble=self._keys_trouble,
        )
        self._stops.append(ring.stop)
        await ring.start()
        keys = Keys(keeper.reader, ring, self._clock, self._ids, trouble=self._keys_trouble)
        # Forgotten last: what is still flushed at a stop is encrypted like the rest.
        self._stops.insert(0, keys.stop)
        await keys.start()
        keeper.writer.conceal_with(Concealing(keys))
        self.metrics.gauge(signals.NAMESPACE_KEYS).watch(lambda: len(keys))
        return keys

    async def _watch_erasure(self, keys: Keys, engine: Engine, scheduler: Scheduler, keeper: Keeper) -> None:
        from rco.operations.erasure import Erasure

        engine.refuse_with(keys.require_open)
        erasure = Erasure(keys, engine, scheduler, keeper.writer, now_us=self._clock.now_us, trouble=self._keys_trouble)
        self._stops.append(erasure.stop)
        await erasure.start()

    async def _outgoing(self, settings: Settings, keeper: Keeper) -> Hooks:
        """What sends webhooks to endpoints: an egress of its own, and the book of who wants what."""
        options, clock, ids = settings.webhooks, self._clock, self._ids
        key = None
        if options.key:
            key = sealing_key(self._secrets(options.key))
        elif not self._where().startswith(("postgres:", "postgresql:")):
            key = self._own_key("webhooks.key")
        # By endpoint there would be too many series: what is counted of webhooks is counted by the sender.
        egress = Egress(
            (),
            clock=clock,
            ids=ids,
            resolve_secret=self._secrets,
            metrics=Metrics(),
            may_send=lambda: clock.monotonic() < keeper.ownership.act_until_s,
        )
        await egress.start()
        self._stops.append(egress.stop)
        safe = Safe(key, self._secrets, ids)
        sender = Sender(egress, safe, options, clock=clock, ids=ids, metrics=self.metrics, random=random.random)
        book = Book(keeper.reader, lambda problem: self.log.warning("webhooks.behind", error=problem))
        await book.start()
        self._stops.append(book.stop)
        for state in ("enabled", "disabled"):
            self.metrics.gauge(signals.WEBHOOK_ENDPOINTS, state=state).watch(partial(book.count, state))
        return Hooks(keeper.reader, book, sender)

    def _keys_trouble(self, problem: BaseException) -> None:
        self.log.warning("encryption.behind", error=problem)

    async def _grant(self, settings: Settings, keeper: Keeper) -> None:
        """Open the office that gives rights, where they are needed."""
        if not settings.capability.enforce:
            return
        load: Load = FreshRing(self._clock, self._ids)
        if not settings.amnesia.enabled:
            load = source_of(settings.capability, settings.vault, self._data / "keyring.json", self._secrets)
        office = Office(
            settings.capability,
            load,
            keeper.reader,
            clock=self._clock,
            ids=self._ids,
            changed=self._keys_changed,
            trouble=lambda problem: self.log.warning("capability.behind", error=problem),
        )
        self._stops.append(office.stop)
        await office.start()
        policy = Policy(settings.grants)
        self._granting = Granting(office, policy, self.metrics, ttl_s=settings.capability.ttl_s)
        self.metrics.gauge(signals.REVOCATIONS).watch(lambda: len(office.revoked))
        self.metrics.gauge(signals.REVOCATION_SILENCE).watch(lambda: office.revoked.silent_s)

    def _sources(self, settings: Settings, keeper: Keeper) -> Datasources:
        if settings.databases:
            need_postgres()
        clock = self._clock
        return Datasources(
            {
                name: Datasource(
                    database,
                    partial(self._secrets, database.dsn),
                    clock=clock,
                    metrics=self.metrics,
                    may_commit=lambda: clock.monotonic() < keeper.ownership.act_until_s,
                    value_limit_bytes=settings.engine.value_limit_bytes,
                )
                for name, database in settings.databases.items()
            }
        )

    async def _entry(self, outbox: Outbox, entry: Entry) -> Handled:
        return await take_entry(self._desk, outbox, entry)

    def _outbox_failed(self, name: str, problem: Exception) -> None:
        self.log.warning("outbox.failed", detail=name, error=problem)

    def _cleaning_failed(self, problem: Exception) -> None:
        self.log.warning("datasource.cleaning_failed", error=problem)

    def _keys_changed(self, came: set[str], went: set[str]) -> None:
        for kids, reason in ((came, "key_added"), (went, "key_removed")):
            for kid in sorted(kids):
                self._trail.note(
                    Decision(
                        verb=Verb.CONFIG,
                        at_us=self._clock.now_us(),
                        actor="node",
                        subject="capability.keys",
                        reason=reason,
                        facts={"kid": kid},
                    )
                )

    async def _listen(self, settings: Settings, keeper: Keeper) -> None:
        clock, ids, metrics = self._clock, self._ids, self.metrics
        listeners: list[Listener] = []
        mounts, kept = await self._content(settings, keeper)
        health = Health(
            checks={
                "listener_bound": lambda: listeners[0].bound,
                "metrics_bound": lambda: listeners[1].bound,
                "policy_loaded": lambda: True,
                "capabilities_ready": lambda: self._granting is None or self._granting.office.ready(),
                "queues_within_limits": lambda: keeper.writer.backlog <= settings.engine.backlog_limit,
                "store_writable": lambda: self._store.well and not self.failed.done(),
                "brownout_bridge": lambda: not self._sentinel.active,
                "not_draining": lambda: not self._ingress.draining,
                **kept,
            },
            version={"version": __version__, "service": "rco"},
        )
        metrics.gauge(signals.READY).watch(lambda: not health.missing())
        access = self._access(keeper)
        self._desk = replace(self._desk, forget_tokens=access.forget)
        api = Deferred(partial(self._control_api, access, settings), ready=memory.settle, failed=self._broken)
        self._stops.append(api.stop)
        mounts["/v1"] = api
        graphql = self._graphql(access, settings)
        if graphql is not None:
            self._stops.append(graphql.stop)
            mounts["/graphql"] = graphql
        root = Root(clock=clock, ids=ids, metrics=metrics, ingress=self._ingress, health=health, mounts=mounts)
        for app, address in (
            (root, settings.server.bind_addr),
            (MetricsApp(metrics=metrics, health=health, ids=ids), settings.server.metrics_addr),
        ):
            host, port = check_address(address)
            listener = Listener(
                app,
                host,
                port,
                connections=settings.server.max_conns,
                header_timeout_s=settings.server.read_timeout_s,
                drain_timeout_s=settings.server.drain_timeout_s,
            )
            listeners.append(listener)
            await listener.start()
            self._stops.append(listener.stop)
        await api.start()
        if graphql is not None:
            await graphql.start()
        self.url = f"http://{listeners[0].host}:{listeners[0].port}"
        self.metrics_url = f"http://{listeners[1].host}:{listeners[1].port}"

    def _control_api(self, access: Access, settings: Settings) -> App:
        # Its framework takes as long to load as all the rest: not before the service is up.
        from rco.server.api.app import control_api

        return control_api(
            lambda: self._desk,
            access,
            body_limit_bytes=settings.limits.body_limit_bytes,
            read_timeout_s=settings.server.read_timeout_s,
        )

    def _access(self, keeper: Keeper) -> Access:
        return Access(keeper.reader, self._clock, None if self._granting is None else self._granting.authority)

    def _graphql(self, access: Access, settings: Settings) -> Deferred | None:
        """The graph, where it is wanted. Raises ``ConfigInvalid`` where what it needs is not installed."""
        if not settings.graphql.enabled:
            return None
        if find_spec("strawberry") is None:
            raise ConfigInvalid(
                "needs a library that is not installed", cure="pip install 'rco[graphql]'.", key="graphql.enabled"
            )

        def make() -> App:
            from rco.server.graphql.app import graphql_app

            return graphql_app(
                lambda: self._desk,
                access,
                options=settings.graphql,
                contents=self._contents,
                admit=self._ingress.admit,
                body_limit_bytes=settings.limits.body_limit_bytes,
                read_timeout_s=settings.server.read_timeout_s,
            )

        return Deferred(make, ready=memory.settle, failed=self._broken)

    async def _objects(self, settings: Settings) -> Objects:
        """The keeper of objects, opened once for all who use it."""
        if self._opened_objects is None:
            from rco.objects.opening import open_objects

            objects = open_objects(
                settings.objects, self._data, clock=self._clock, ids=self._ids, resolve=self._secrets
            )
            await objects.start()
            self._stops.append(objects.stop)
            self._opened_objects = objects
        return self._opened_objects

    async def _payloads(self, settings: Settings, keeper: Keeper, keys: Keys | None) -> PayloadStore | None:
        """Where large payloads are kept: where they are to be, and where some are from before."""
        options = settings.payloads
        if not options.object_store_over_bytes and not await keeper.reader.any_payloads():
            return None
        sealing = None
        if keys is not None:
            from rco.encryption.objects import ObjectSealing

            sealing = ObjectSealing(keys)
        return PayloadStore(
            await self._objects(settings),
            await keeper.reader.payload_space(),
            self._ids,
            over_bytes=options.object_store_over_bytes,
            put_timeout_s=options.put_timeout_s,
            sealing=sealing,
            told=PayloadMeter(self.metrics, self._payload_trouble),
        )

    def _payload_gc(self, settings: Settings, payloads: PayloadStore, keeper: Keeper) -> PayloadGc:
        from rco.payloads.sweeping import Sweeper

        return PayloadGc(Sweeper(payloads.objects, keeper.reader, payloads.space), settings.payloads)

    def _payload_trouble(self, problem: BaseException) -> None:
        self.log.warning("payloads.behind", error=problem)

    async def _content(self, settings: Settings, keeper: Keeper) -> tuple[dict[str, App], dict[str, ReadyCheck]]:
        """The content store's routes and what must hold for them, where they are wanted."""
        if not settings.content.enabled:
            return {}, {}
        from rco.objects.insisting import Insisting
        from rco.server.content import ContentApp

        objects = await self._objects(settings)
        self._contents = ContentStore(Insisting(objects, self._clock, random.random))
        app = ContentApp(
            self._contents,
            lambda: self._desk,
            self._access(keeper),
            self._clock,
            options=settings.content,
            json_limit_bytes=settings.limits.body_limit_bytes,
            read_timeout_s=settings.server.read_timeout_s,
            admit=self._ingress.admit,
            sentinel=self._sentinel,
        )
        reached = Dependency(
            "objects",
            lambda: objects.seen("health/probe"),
            clock=self._clock,
            metrics=self.metrics,
            told=self._sentinel.asked,
        )
        await reached.start()
        self._stops.append(reached.stop)
        return {"/put": app, "/o": app}, {"objects_reachable": lambda: reached.well}

    # -- changes ---------------------------------------------------------------------------------------------------

    async def reload(self, settings: Settings) -> None:
        """Take other settings, targets, providers, subscriptions and application: all of them or, with the error
        raised, none. What cannot change while running (addresses, store, limits of the engine) waits for a restart."""
        try:
            if (settings.capability, settings.vault) != (self.settings.capability, self.settings.vault):
                raise ConfigInvalid(
                    "capability and vault do not change while the service runs", cure="Restart it.", key="capability"
                )
            if (settings.databases, settings.outboxes) != (self.settings.databases, self.settings.outboxes):
                raise ConfigInvalid(
                    "databases and outboxes do not change while the service runs", cure="Restart it.", key="databases"
                )
            if settings.webhooks != self.settings.webhooks:
                raise ConfigInvalid("webhooks do not change while the service runs", cure="Restart it.", key="webhooks")
            if settings.amnesia != self.settings.amnesia:
                raise ConfigInvalid("amnesia does not change while the service runs", cure="Restart it.", key="amnesia")
            if settings.audit != self.settings.audit:
                raise ConfigInvalid("audit does not change while the service runs", cure="Restart it.", key="audit")
            if settings.payloads != self.settings.payloads:
                raise ConfigInvalid("payloads do not change while the service runs", cure="Restart it.", key="payloads")
            if settings.encryption != self.settings.encryption:
                raise ConfigInvalid(
                    "encryption does not change while the service runs", cure="Restart it.", key="encryption"
                )
            pinned = (settings.app, settings.app_version, settings.apps)
            if self._versions.pool and pinned != (self.settings.app, self.settings.app_version, self.settings.apps):
                raise ConfigInvalid("versions do not change while the service runs", cure="Restart it.", key="apps")
            # What a version stands for does not change either: its code is that of the start.
            versions = self._versions
            if not versions.pool:
                versions = await asyncio.to_thread(_load, settings, self._migrating)
                if versions.pool:
                    raise ConfigInvalid("versions begin with a start", cure="Restart the service.", key="app_version")
            _queues_declared(settings, versions)
            routes = self._routes(settings)
            table = self._table(settings, versions)
            calendars = calendars_of(settings)
            self._egress.reload(settings.targets.values(), {one.namespace: one for one in settings.namespace_limits})
        except RcoError as problem:
            self.keep(problem)
            raise
        self._turnstile.replace(routes)
        self._turnstile.limit(_limits(settings))
        self._sentinel.change(settings.brownout)
        self._desk = replace(self._desk, router=table)
        if self._granting is not None:
            self._granting.policy = Policy(settings.grants)
        # Where no setting differs it is for the secrets behind the references, which were opened again.
        for subject in [change.key for change in diff(self.settings, settings)] or ["providers.secrets"]:
            self._note_config(subject, "reloaded", True)
        self.settings, self._versions = settings, versions
        await declare_namespaces(self._desk, settings.namespaces)
        await self._spaces.look()
        self._desk.retention.options = settings.retention
        await self._desk.engine.reload(*self._programs(versions))
        self._desk.dispatcher.reload(_queues(settings, self._hooks.book))
        self._desk.scheduler.reload(calendars, rules_of(calendars))
        self._declare(settings)
        self.metrics.counter(signals.INTEROP_CONFIG_RELOADS, result="ok").add()
        self.log.info("service.reloaded")

    def keep(self, problem: RcoError) -> None:
        """Say that a configuration was not taken over: the one in effect stays. Counted and recorded once for each
        problem, however often it is told."""
        if self._kept is problem:
            return
        self._kept = problem
        self.metrics.counter(signals.INTEROP_CONFIG_RELOADS, result="refused").add()
        self.log.error("service.reload_refused", error=problem)
        self._note_config(getattr(problem, "key", "") or "configuration", f"refused: {problem.code}", False)

    async def _end_trail(self) -> None:
        """Write what waits, and leave in the store's chain where the others end: a cut there is seen from here."""
        await asyncio.to_thread(self._trail.stop, self.settings.server.drain_timeout_s)
        self._note_sinks("sink_closed")

    def _note_sinks(self, reason: str) -> None:
        for seen in (sink.seen() for sink in self._trail.sinks):
            self._keeper.writer.note(
                Decision(
                    verb=Verb.NODE,
                    at_us=self._clock.now_us(),
                    actor=f"node:{self._node}",
                    subject=f"audit.{seen.sink}",
                    reason=reason,
                    facts={"n": seen.n, "head": seen.head, "dropped": seen.dropped},
                )
            )

    def _sink_failed(self, sink: str, problem: OSError) -> None:
        # Told by the sink's thread; the log belongs to the loop.
        self._loop.call_soon_threadsafe(partial(self.log.error, "audit.sink_failed", detail=sink, error=problem))

    def reopen_sinks(self) -> None:
        """Go on in new files where the old ones were moved away (SIGHUP)."""
        self._trail.reopen()

    def _note_node(self, reason: str) -> None:
        self._trail.note(
            Decision(
                verb=Verb.NODE,
                at_us=self._clock.now_us(),
                actor=f"node:{self._node}",
                reason=reason,
                facts={"epoch": self._keeper.epoch},
            )
        )

    def _note_config(self, subject: str, reason: str, allow: bool) -> None:
        self._trail.note(
            Decision(
                verb=Verb.CONFIG,
                at_us=self._clock.now_us(),
                actor="node",
                subject=subject,
                reason=reason,
                allow=allow,
            )
        )

    def _declare(self, settings: Settings) -> None:
        """Bring the store to the schedules that are declared, in the background: shards may be still to come."""
        if self._declared is not None:
            self._declared.cancel()
        self._declared = asyncio.get_running_loop().create_task(keep_declared(self._desk, settings.schedules))

    def _clear_schedule(self, schedule: Schedule, corr_id: str) -> GrantFor | None:
        self._spaces.ticks(schedule.namespace)
        clearance = self._granting or OPEN
        return clearance.schedule(schedule.name, schedule.namespace, schedule.spec.workflow, corr_id)

    def _shut(self) -> None:
        self._ingress.drain()

    def _where(self) -> str:
        """The database: a file, an address, or a reference to one that holds a password. With amnesia, memory."""
        if self.settings.amnesia.enabled:
            return IN_MEMORY
        return self._secrets.opened(self.settings.store.path or str(self._data / "rco.db"))

    def _programs(self, versions: Versions) -> tuple[list[Program], dict[str, list[Program]] | None]:
        own = [program(lambda: self._desk) for program in (bulk_program, move_program, deliver_program)]
        held = None if self._granting is None else partial(self._granting.caller, self._egress)
        new = versions.programs(self._egress, self._executor, held, self._datasources)
        return [*new, *own], versions.pooled(self._egress, self._executor, held, self._datasources)

    def _table(self, settings: Settings, versions: Versions) -> RoutingTable:
        own = [] if versions.current is None else versions.current.subscriptions()
        return RoutingTable.build([*own, *settings.subscriptions])

    def _routes(self, settings: Settings) -> dict[str, Any]:
        return open_routes(
            settings.providers.values(),
            resolve=lambda reference: self._secrets(reference).encode(),
            clock=self._clock,
            compile_expression=lambda text: Expression.compile(text).first,
            certificates=self._certificates,
            forgetting_since_us=self._began_us if settings.amnesia.enabled else None,
        )

    def _starts(self, event: Event) -> Started:
        return emitted(self._desk, event)

    def _broken(self, problem: BaseException) -> None:
        self.log.error("store.failed", error=problem)
        if not self.failed.done():
            self.failed.set_result(problem)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        self.log.error("unhandled", detail=str(context.get("message", "")), error=problem or RuntimeError("unknown"))


def _queues(settings: Settings, book: Book) -> dict[str, Queue]:
    """Those that are declared, and the service's own where deliveries are ordered."""
    return {**settings.queues, ORDERED: Queue(per_key_concurrency=1)} if book.ordered else settings.queues


def _queues_declared(settings: Settings, versions: Versions) -> None:
    """Raise ``ConfigInvalid`` for a workflow whose queue nobody declared: its runs could never be started."""
    for workflow in () if versions.current is None else versions.current.workflows:
        if workflow.queue and workflow.queue not in settings.queues:
            raise ConfigInvalid(
                f"workflow {workflow.name!r} waits in {workflow.queue!r}, which is not declared.",
                cure=f"Write: queues: {{{workflow.queue}: {{concurrency: 10}}}}.",
                key=f"queues.{workflow.queue}",
            )


def _load(settings: Settings, developing: bool) -> Versions:
    """Under development there are no versions: code changes in place, and runs go on with what is there."""
    if developing:
        app = settings.app or settings.apps.get(settings.app_version, "")
        return load_versions(app, "", {})
    return load_versions(settings.app, settings.app_version, settings.apps)


def _level(settings: Settings) -> Level:
    return Level[settings.logging.level.upper()]


def _limits(settings: Settings) -> AdmissionLimits:
    limits = settings.limits
    return AdmissionLimits(
        rate_per_s=limits.max_rps,
        burst=limits.burst_rps,
        caller_rate_per_s=limits.caller_rps,
        caller_burst=limits.caller_burst,
        inflight=settings.server.max_conns,
    )
