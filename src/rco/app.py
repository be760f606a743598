"""The wiring: settings in, a running service out. No decision is made here: what comes after what, and nothing else.
Each part is put together in a file of ``rco.assembly``."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from rco import __version__
from rco.assembly.bridge import limits_of, open_door, open_turnstile, routes_of, start_forgetting, start_watching
from rco.assembly.brokers import start_relaying
from rco.assembly.calls import bounds_of, open_certificates, open_egress, open_hooks, share_limits
from rco.assembly.changing import require_changeable
from rco.assembly.code import Reach, load_code, open_threads, queues_declared, queues_of, retention_of, table_of
from rco.assembly.content import Contents, large_bodies, open_content
from rco.assembly.databases import open_databases, start_cleaners, start_outboxes
from rco.assembly.doors import certificate_of, control_api, graph, open_listeners, revocations_ended
from rco.assembly.ground import Stops, lay_ground
from rco.assembly.notes import Notes
from rco.assembly.objects import ObjectsOnce, collector, open_payloads
from rco.assembly.rights import access_of, open_keys, open_office, opened_by, watch_erasure
from rco.assembly.store import first_admin, open_store
from rco.assembly.tracing import open_tracer
from rco.assembly.trades import make_dispatcher, make_engine, make_scheduler
from rco.config.check import calendars_of
from rco.config.explain import diff
from rco.config.settings import Settings
from rco.engine.program import Programs
from rco.errors import ConfigInvalid, RcoError
from rco.kit import memory
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.kit.lifecycle import stop_task
from rco.kit.loading import load_in_turn
from rco.operations.clearance import OPEN
from rco.operations.desk import Desk
from rco.operations.namespaces import declare_namespaces
from rco.operations.observe import observe, observe_history
from rco.operations.observe_queues import observe_queues
from rco.operations.observe_schedules import observe_schedules
from rco.operations.observe_traces import observe_traces
from rco.operations.observe_versions import VersionWatch
from rco.operations.policy import Policy
from rco.operations.receive import emitted
from rco.operations.reconfigured import Altered, Reconfigured
from rco.operations.relaying import Relaying
from rco.operations.retention import Retention
from rco.operations.schedule_declared import check_declared, keep_declared
from rco.operations.spaces import Spaces
from rco.operations.versions import announce
from rco.payloads.fetching import fetching
from rco.scheduler.quota import Quota
from rco.scheduler.rules import rules_of
from rco.server.health import Health
from rco.server.list_watch import ListWatch
from rco.server.serving import Listener
from rco.store.contract.keeper import Keeper
from rco.store.contract.news import Topic
from rco.telemetry import signals
from rco.telemetry.logs import bridge_stdlib
from rco.telemetry.metrics import Metrics
from rco.workflow.guard import install_guard
from rco.workflow.versions import Versions

__all__ = ["Service", "build"]


async def build(settings: Settings, *, environ: dict[str, str] | None = None, migrating: bool = False) -> Service:
    """A service for ``settings``, ready to be started on this loop.

    ``migrating`` brings the schema up to date first, as ``rco dev`` does. Raises ``ConfigInvalid`` for what cannot be
    used and ``Misuse`` for an application that cannot be replayed; then nothing was started.
    """
    versions = await load_in_turn(partial(load_code, settings, migrating))
    queues_declared(settings, versions)
    retention_of(settings, versions)
    return Service(settings, versions, dict(os.environ) if environ is None else environ, migrating=migrating)


class Service:
    """One node: keeper, engine, bridge, egress and the servers, started and stopped together."""

    def __init__(self, settings: Settings, versions: Versions, environ: dict[str, str], *, migrating: bool) -> None:
        self.settings = settings
        self._versions = versions
        self._environ = environ
        self._migrating = migrating
        self._clock = SystemClock()
        self._ids = Ids(self._clock)
        self.metrics = Metrics()
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        self._stops: Stops = []
        self._declared: asyncio.Task[None] | None = None
        self._relaying: Relaying | None = None
        self._kept: RcoError | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up; returns when requests are answered. After an error everything is down again."""
        try:
            await self._start()
        except BaseException:
            with suppress(Exception):  # logged; what matters is why it did not start
                await self.stop()
            raise

    async def stop(self) -> None:
        """Drain and stop, in the opposite order of starting. May be called before ``start``, and twice.

        What fails to stop keeps nothing else from it, as the store comes last; the first failure is raised in the end.
        """
        failed: Exception | None = None
        if hasattr(self, "_ingress"):
            self._ingress.drain()
            if self._stops:
                self._notes.node("stopped")
        while self._stops:
            try:
                await self._stops.pop()()
            except Exception as problem:  # noqa: BLE001 - whatever it is, the rest is to stop
                failed = failed or problem
                if hasattr(self, "log"):
                    self.log.error("service.stop_failed", error=problem)
        if failed is not None:
            raise failed

    async def _start(self) -> None:
        settings, clock = self.settings, self._clock
        install_guard()
        ground = self._ground = lay_ground(settings, self._environ, clock, self._ids, self.metrics, self._stops)
        self.log = ground.log
        bridge_stdlib(self.log)
        self._loop.set_exception_handler(self._unhandled)
        keeper, node = self._keeper, self._node = await open_store(ground, migrating=self._migrating)
        keeper.writer.on_failure(self._broken)
        self._notes = Notes(ground, keeper, node)
        self._stops.append(lambda: self._notes.end(self.settings.server.drain_timeout_s))
        await first_admin(ground, keeper)
        threads = open_threads(ground)
        sharing = share_limits(ground, keeper, node)
        self._egress = await open_egress(ground, keeper, sharing)
        self._spaces = Spaces(
            keeper.reader,
            keeper.writer,
            ground.warn("namespaces.behind"),
            partial(keeper.on_news, Topic.NAMESPACES),
        )
        self._certificates = open_certificates(ground)
        self._granting = await open_office(ground, keeper, self._notes.keys)
        databases = open_databases(ground, keeper)
        keys = await open_keys(ground, keeper)
        objects = ObjectsOnce(ground)
        self._contents = Contents(ground, objects, keys, keeper.reader)
        payloads = await open_payloads(ground, keeper, keys, objects)
        reader = fetching(opened_by(keys, keeper.reader), payloads, ground.warn("payloads.behind"))
        await announce(keeper.reader, node, self._versions.digests, self._versions.name, clock.now_us())
        self._reach = Reach(self._egress, threads, databases, self._granting, self._contents.for_steps, self._at_desk)
        programs = Programs(*self._reach.programs(self._versions))
        engine = make_engine(
            ground, keeper, reader, programs, lambda event: emitted(self._desk, event), self._granting, payloads
        )
        tracer = open_tracer(ground, node)
        observe_traces(engine, tracer, clock)
        assert self._egress.gates is not None
        self._egress.gates.on_opened = engine.hasten
        scheduler = make_scheduler(ground, keeper, reader, engine, self._spaces, self._granting)
        hooks = self._hooks = await open_hooks(ground, keeper, sharing)
        dispatcher = make_dispatcher(ground, keeper, engine, hooks.book)
        trail = self._notes.trail
        self._desk = Desk(
            engine=engine,
            scheduler=scheduler,
            dispatcher=dispatcher,
            quota=Quota(keeper.reader, clock, settings.scheduler.schedules_limit),
            writer=keeper.writer,
            reader=reader,
            router=table_of(settings, self._versions),
            targets=self._egress,
            clock=clock,
            ids=self._ids,
            metrics=self.metrics,
            log=self.log,
            retention=Retention(
                keeper.retaining, retention_of(settings, self._versions), self._feeds, self._contents.cut()
            ),
            payload_gc=collector(ground, keeper, payloads),
            spaces=self._spaces,
            clearance=self._granting or OPEN,
            namespace_keys=keys,
            webhooks=hooks,
            key_lead_s=settings.encryption.lead_s,
            shut=self._shut,
            trail=trail if trail.sinks else None,
            tracer=tracer,
            info={"node": node, "version": __version__, "epoch": str(keeper.epoch)},
        )
        hooks.book.on_ordered = lambda: dispatcher.reload(queues_of(self.settings, hooks.book))
        observe(engine, keeper.writer, self.metrics, clock, self.log)
        observe_history(keeper, self.metrics, self.log)
        observe_schedules(scheduler, self.metrics, self.log)
        observe_queues(dispatcher, self.metrics, self.log)
        check_declared(self._desk, settings.schedules)
        self.metrics.gauge(signals.INFO, version=__version__).set(1)
        self._notes.node("started")
        self._notes.sinks("sink_opened")
        # Opened before the first run goes on: a call must not fail because a secret is missing only later.
        self._turnstile = open_turnstile(ground, self._certificates)
        start_forgetting(ground, self._turnstile)
        await declare_namespaces(self._desk, settings.namespaces)
        await self._spaces.start()
        self._stops.append(self._spaces.stop)
        self._desk.retention.begin(self._desk)
        self._stops.append(self._desk.retention.stop)
        if self._versions.pool:
            watch = VersionWatch()
            watch.begin(self._desk)
            self._stops.append(watch.stop)
        await engine.start()
        if self._desk.payload_gc is not None:
            self._desk.payload_gc.begin(self._desk)
            self._stops.append(self._desk.payload_gc.stop)
        self._stops.append(lambda: engine.stop(settings.server.drain_timeout_s))
        await scheduler.start()
        self._stops.append(scheduler.stop)
        await start_cleaners(ground, keeper, databases)
        await dispatcher.start()
        self._stops.append(dispatcher.stop)
        await start_outboxes(ground, databases, self._at_desk)
        if keys is not None:
            await watch_erasure(ground, keys, engine, scheduler, keeper)
        self._declare(settings)
        self._stops.append(lambda: stop_task(self._declared))
        self._reconfigured = Reconfigured(self._at_desk)
        self._stops.append(self._reconfigured.stop)
        self._bridge = await start_watching(ground, keeper, self._at_desk)
        large = large_bodies(ground, self._contents, self._at_desk)
        self._ingress = open_door(ground, self._turnstile, self._bridge.sentinel, trail.note, self._at_desk, large)
        await self._listen(settings, keeper)
        self._relaying = await start_relaying(ground, keeper, node, self._at_desk)
        memory.settle()
        self.log.info("service.started", url=self.url, version=__version__)

    async def _listen(self, settings: Settings, keeper: Keeper) -> None:
        ground, desk, granting = self._ground, self._at_desk, self._granting
        sentinel, store = self._bridge.sentinel, self._bridge.store
        listeners: list[Listener] = []
        access = access_of(ground, keeper, granting)
        content = await open_content(ground, self._ingress, sentinel, access, desk, self._contents)
        health = Health(
            checks={
                "listener_bound": lambda: listeners[0].bound,
                "metrics_bound": lambda: listeners[1].bound,
                "policy_loaded": lambda: True,
                "capabilities_ready": lambda: granting is None or granting.office.ready(),
                "queues_within_limits": lambda: keeper.writer.backlog <= settings.engine.backlog_limit,
                "store_writable": lambda: store.well and not self.failed.done(),
                "brownout_bridge": lambda: not sentinel.active,
                "not_draining": lambda: not self._ingress.draining,
                **({} if content is None else {"objects_reachable": content.reached}),
                **({} if not settings.tls.enabled else {"client_revocations_current": lambda: self._lists.current}),
            },
            version={"version": __version__, "service": "rco"},
        )
        self.metrics.gauge(signals.READY).watch(lambda: not health.missing())
        self._desk = replace(self._desk, forget_tokens=access.forget)
        late = {"/v1": control_api(ground, access, desk, self._unloaded)}
        asked = graph(ground, access, desk, self._unloaded, self._ingress, content)
        if asked is not None:
            late["/graphql"] = asked
        self._stops.extend(app.stop for app in late.values())
        stored = {} if content is None or content.app is None else {"/put": content.app, "/o": content.app}
        await open_listeners(ground, self._ingress, health, {**stored, **late}, listeners)
        for app in late.values():
            await app.start()
        self._listener = listeners[0]
        self._lists = ListWatch(listeners[0], ground.clock, lambda: revocations_ended(ground))
        await self._lists.start()
        ground.stops.append(self._lists.stop)
        self.url, self.metrics_url = (one.url for one in listeners)

    # -- changes ---------------------------------------------------------------------------------------------------

    async def reload(self, settings: Settings) -> None:
        """Take other settings, targets, providers, subscriptions and application: all of them or, with the error
        raised, none. What cannot change while running (addresses, store, limits of the engine) waits for a restart."""
        versions = self._versions
        try:
            require_changeable(self.settings, settings, versions=bool(versions.pool))
            # What a version stands for does not change either: its code is that of the start.
            if not versions.pool:
                versions = await load_in_turn(partial(load_code, settings, self._migrating))
                if versions.pool:
                    raise ConfigInvalid("versions begin with a start", cure="Restart the service.", key="app_version")
            queues_declared(settings, versions)
            retention = retention_of(settings, versions)
            routes = routes_of(self._ground, settings, self._certificates)
            table = table_of(settings, versions)
            await self._contents.open_for(settings)
            calendars = calendars_of(settings)
            served = certificate_of(self._ground, settings)
            if served is not None:
                await self._listener.renew(served)
            self._egress.reload(settings.targets.values(), bounds_of(settings))
        except RcoError as problem:
            self.keep(problem)
            raise
        self._turnstile.replace(routes)
        self._turnstile.limit(limits_of(settings))
        self._bridge.sentinel.change(settings.brownout)
        self._desk = replace(self._desk, router=table)
        if self._granting is not None:
            self._granting.policy = Policy(settings.grants)
        # Where no setting differs it is for the secrets behind the references, which were opened again.
        changes = diff(self.settings, settings)
        for subject in [change.key for change in changes] or ["providers.secrets"]:
            self._notes.config(subject, "reloaded", True)
        self.settings, self._versions = settings, versions
        if self._relaying is not None:
            await self._relaying.publish_for(settings.subscriptions)
        await declare_namespaces(self._desk, settings.namespaces)
        await self._spaces.look()
        self._desk.retention.options = retention
        await self._desk.engine.reload(*self._reach.programs(versions))
        self._desk.dispatcher.reload(queues_of(settings, self._hooks.book))
        self._desk.scheduler.reload(calendars, rules_of(calendars))
        self._declare(settings)
        self._reconfigured.tell([Altered(change.key, change.before, change.after) for change in changes])
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
        self._notes.config(getattr(problem, "key", "") or "configuration", f"refused: {problem.code}", False)

    def reopen_sinks(self) -> None:
        """Go on in new files where the old ones were moved away (SIGHUP)."""
        self._notes.trail.reopen()

    # -- within ----------------------------------------------------------------------------------------------------

    def _at_desk(self) -> Desk:
        """The desk of now: a change of the settings puts another in its place."""
        return self._desk

    def _feeds(self) -> list[str]:
        """The feeds that chains are told by: what they have not told is not to go."""
        return [] if self._relaying is None else self._relaying.names

    def _shut(self) -> None:
        self._ingress.drain()

    def _declare(self, settings: Settings) -> None:
        """Bring the store to the schedules that are declared, in the background: shards may be still to come."""
        if self._declared is not None:
            self._declared.cancel()
        self._declared = self._loop.create_task(keep_declared(self._desk, settings.schedules))

    def _broken(self, problem: BaseException) -> None:
        self.log.error("store.failed", error=problem)
        self._fail(problem)

    def _unloaded(self, problem: BaseException) -> None:
        self.log.error("door.failed", error=problem)
        self._fail(problem)

    def _fail(self, problem: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_result(problem)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        self.log.error("unhandled", detail=str(context.get("message", "")), error=problem or RuntimeError("unknown"))
