"""What types cannot say about settings: addresses, URLs, rules, networks, names that must fit together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from difflib import get_close_matches
from urllib.parse import urlsplit

import msgspec

from rco.audit import options as audit
from rco.bridge.providers import check_provider
from rco.capability import options as capability
from rco.config.bind import NAME, REFERENCE, file_key
from rco.config.check_amnesia import amnesia
from rco.config.check_content import content_retention
from rco.config.check_large import large_bodies
from rco.config.check_limits import limits_of_calls
from rco.config.settings import ServerSettings, Settings
from rco.datasource.options import database_faults
from rco.egress.rules import Rules
from rco.encryption import options as encryption
from rco.errors import ConfigInvalid, Misuse
from rco.expr.jq import Expression
from rco.model.probe_template import ProbeTemplate
from rco.model.queue import NAME as QUEUE_NAME
from rco.model.schedule import ScheduleSpec
from rco.model.subscription import Subscription
from rco.model.target import Credential, Rule, Target, TargetProbe
from rco.objects import options as objects
from rco.operations.policy import rule_problem
from rco.payloads import options as payloads
from rco.router.pattern import well_formed
from rco.scheduler.given import input_of
from rco.scheduler.ticks import Calendars, Ticks
from rco.server import tls
from rco.store.address import is_postgres
from rco.store.options import faults
from rco.telemetry import tracing_options as tracing
from rco.webhooks import options as webhooks

__all__ = ["calendars_of", "check_address", "check_settings"]

Report = Callable[[str, str, str], None]
"""``(key, message, cure)``"""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""RFC 9110 section 5.6.2: what a header's name is made of."""
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NOT_SETTABLE = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"})


def check_address(text: str) -> tuple[str, int]:
    """``(host, port)`` from ``127.0.0.1:8080`` or ``[::1]:8080``: an IP address, not a name. Raises ``ValueError``."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address; write host:port, e.g. 127.0.0.1:8080")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address; write e.g. 127.0.0.1, or 0.0.0.0 for all") from None
    if (address.version == 6) != (bare != host):
        raise ValueError(f"{text!r} is not an address; write an IPv6 host in brackets, e.g. [::1]:8080")
    return bare, int(port)


def check_settings(settings: Settings, report: Report) -> None:
    """Report everything that is wrong with ``settings``, each under its dotted key."""
    _server(settings.server, report)
    for name, message, cure in faults(settings.store):
        report(f"store.{file_key(name)}", message, cure)
    if not 1 <= settings.decompression.max_ratio <= 100_000:
        report("decompression.max_ratio", f"must be between 1 and 100000, is {settings.decompression.max_ratio}", "")
    for field in msgspec.structs.fields(settings.engine):
        if getattr(settings.engine, field.name) <= 0:
            report(f"engine.{file_key(field.name)}", "must be above 0", "")
    for name, provider in settings.providers.items():
        try:
            check_provider(provider)
        except ConfigInvalid as problem:
            report(_as_written(problem.key) or f"providers.{name}", _bare(problem), problem.cure)
        _expression(provider.subject, f"providers.{name}.subject", report)
    for name, target in settings.targets.items():
        _target(target, f"targets.{name}", report)
    for name, database in settings.databases.items():
        for wrong, message, cure in database_faults(database):
            report(f"databases.{name}.{file_key(wrong)}", message, cure)
    for name, outbox in settings.outboxes.items():
        if outbox.database not in settings.databases:
            report(f"outboxes.{name}.database", f"{outbox.database!r} is not declared", "Declare it under databases.")
    _retention(settings, report)
    for name in settings.namespaces:
        if not _NAMESPACE.fullmatch(name):
            report(f"namespaces.{name}", "is not a name", "Use a-z, 0-9 and -, at most 63 of them.")
    limits_of_calls(settings, report)
    _schedules(settings, report)
    for field in msgspec.structs.fields(settings.scheduler):
        if getattr(settings.scheduler, field.name) <= 0:
            report(f"scheduler.{file_key(field.name)}", "must be above 0", "")
    _queues(settings, report)
    seen: dict[str, int] = {}
    for index, subscription in enumerate(settings.subscriptions):
        key = f"subscriptions[{index}]"
        if subscription.name in seen:
            report(f"{key}.name", f"{subscription.name!r} is taken", "Give each subscription a name of its own.")
        seen[subscription.name] = index
        _subscription(subscription, key, report)
    for name, message, cure in capability.faults(settings.capability, settings.vault):
        report(name, message, cure)
    vault = bool(settings.vault.address and settings.vault.token)
    for name, message, cure in encryption.faults(settings.encryption, vault=vault):
        report(name, message, cure)
    for name, message, cure in webhooks.faults(settings.webhooks):
        report(name, message, cure)
    for name, message, cure in objects.faults(settings.objects, settings.content, enforce=settings.capability.enforce):
        report(name, message, cure)
    try:
        is_postgres(settings.store.path.removeprefix("file:"))
    except ConfigInvalid as problem:
        report("store.path", _bare(problem), problem.cure)
    shared = settings.store.path.startswith(("postgres:", "postgresql:", "env:", "file:/"))
    for name, message, cure in payloads.faults(settings.payloads, place=settings.objects.place, shared=shared):
        report(name, message, cure)
    for name, message, cure in audit.faults(settings.audit, amnesia=settings.amnesia.enabled):
        report(name, message, cure)
    for name, message, cure in tracing.faults(settings.tracing, REFERENCE.fullmatch):
        report(name, message, cure)
    for name, message, cure in tls.faults(settings.tls, REFERENCE.fullmatch):
        report(name, message, cure)
    amnesia(settings, report)
    large_bodies(settings, report)
    _grants(settings, report)
    _relay(settings, report)


def _publishing(settings: Settings, report: Report) -> None:
    """Subscriptions that send events to brokers."""
    taken = {(one.broker, one.topic): name for name, one in settings.sources.items()}
    for index, one in enumerate(settings.subscriptions):
        key = f"subscriptions[{index}]"
        if bool(one.workflow) == (one.publish is not None):
            report(key, "needs one of workflow and publish", "Make two of one that has both.")
        if one.publish is None:
            continue
        if one.publish.broker not in settings.brokers:
            near = get_close_matches(one.publish.broker, settings.brokers, n=1)
            cure = f"Did you mean {near[0]}?" if near else "Declare it under brokers."
            report(f"{key}.publish.broker", f"{one.publish.broker!r} is not declared", cure)
        source = taken.get((one.publish.broker, one.publish.topic))
        if source is not None:
            report(f"{key}.publish.topic", f"is what source {source!r} reads: events would go round", "Take another.")
        if one.key is not None or one.queue or one.fair_key or one.priority is not None:
            report(key, "key, queue, fair_key and priority are for runs", "A message's key is publish.key.")
        _expression(one.publish.key, f"{key}.publish.key", report)


def _relay(settings: Settings, report: Report) -> None:
    _publishing(settings, report)
    told: set[str] = set()
    for index, one in enumerate(settings.publish):
        key = f"publish[{index}].broker"
        if one.broker not in settings.brokers:
            report(key, f"{one.broker!r} is not declared", "Declare it under brokers.")
        if one.broker in told:
            report(key, f"{one.broker!r} is told already", "Name all topics of a broker in one place.")
        told.add(one.broker)
    for name, source in settings.sources.items():
        if source.broker not in settings.brokers:
            report(f"sources.{name}.broker", f"{source.broker!r} is not declared", "Declare it under brokers.")
        if name in settings.providers:
            report(f"sources.{name}", "is the name of a provider", "Rules tell them apart by name: take another.")
        if source.format == "json" and not source.type:
            report(f"sources.{name}.type", "is missing: a bare JSON value has none", "Write the type of its events.")


def _retention(settings: Settings, report: Report) -> None:
    known = settings.retention.classes
    named = [(f"retention.runs[{index}].keep", rule.keep) for index, rule in enumerate(settings.retention.runs)]
    named += [
        (f"retention.{key}", name)
        for key, name in (
            ("events", settings.retention.events),
            ("dead_letters", settings.retention.dead_letters),
            ("evidence", settings.retention.evidence),
            ("revocations", settings.retention.revocations),
            ("content", settings.retention.content),
        )
        if name
    ]
    for key, name in named:
        if name not in known:
            report(key, f"{name!r} is no class", "Declare it under retention.classes.")
    revoked_us, life_us = settings.retention.keep_us(settings.retention.revocations), settings.capability.life_max_s
    if revoked_us is not None and revoked_us < 1_000_000 * life_us:
        report(
            "retention.revocations",
            f"are kept for less than a capability may live ({life_us:g} s)",
            "Take a class that is kept for longer than capability.life_max.",
        )
    content_retention(settings, report)
    for field in ("every_s", "rate_per_s"):
        if getattr(settings.retention, field) <= 0:
            report(f"retention.{file_key(field)}", "must be above 0", "")


def _grants(settings: Settings, report: Report) -> None:
    if settings.grants and not settings.capability.enforce:
        report("grants", "do nothing while capability.enforce is false", "Set capability.enforce: true.")
    for index, rule in enumerate(settings.grants):
        problem = rule_problem(rule)
        if problem:
            report(f"grants[{index}]", problem, "See docs/how-to/limit-what-runs-may-do.md.")
            continue
        for scope in rule.scopes:
            target = scope.split(":")[1] if scope.startswith("call:") else "*"
            if not target.endswith("*") and target not in settings.targets:
                report(f"grants[{index}].scopes", f"{scope!r} names a target that is not declared", "Declare it.")


def calendars_of(settings: Settings) -> dict[str, frozenset[date]]:
    """The calendars as sets of dates. Raises ``ValueError`` for a date that is none."""
    return {name: frozenset(date.fromisoformat(text) for text in texts) for name, texts in settings.calendars.items()}


def _queues(settings: Settings, report: Report) -> None:
    for name in settings.queues:
        if not QUEUE_NAME.fullmatch(name):
            report(f"queues.{name}", "is not a name", "Use a-z, 0-9, _, - and ., at most 63 of them.")
    for field in msgspec.structs.fields(settings.dispatcher):
        if getattr(settings.dispatcher, field.name) <= 0:
            report(f"dispatcher.{file_key(field.name)}", "must be above 0", "")
    named: list[tuple[str, str | None]] = [
        (f"schedules.{name}", spec.queue) for name, spec in settings.schedules.items()
    ]
    named += [(f"subscriptions[{index}]", one.queue) for index, one in enumerate(settings.subscriptions)]
    for key, queue in named:
        if queue and queue not in settings.queues:
            report(f"{key}.queue", f"{queue!r} is not declared", "Declare it under queues.")


def _schedules(settings: Settings, report: Report) -> None:
    for name in settings.calendars:
        if not NAME.fullmatch(name):
            report(f"calendars.{name}", "is not a name", "Use a-z, 0-9, _ and -, at most 63 of them.")
    calendars: Calendars = {}
    try:
        calendars = calendars_of(settings)
    except ValueError as error:
        report("calendars", str(error), "Write dates as 2026-12-25.")
        return
    for name, spec in settings.schedules.items():
        _schedule(spec, f"schedules.{name}", calendars, report)


def _schedule(spec: ScheduleSpec, key: str, calendars: Calendars, report: Report) -> None:
    try:
        input_of(spec, spec.input, 0)
        Ticks(spec, calendars)
    except Misuse as problem:
        report(key, problem.message, problem.cure)


def _as_written(key: str) -> str:
    head, dot, last = key.rpartition(".")
    return f"{head}{dot}{file_key(last)}"


def _bare(problem: ConfigInvalid) -> str:
    return problem.message.removeprefix(f"{problem.key}: ")


def _server(server: ServerSettings, report: Report) -> None:
    places: dict[tuple[str, int], str] = {}
    for field in ("bind_addr", "metrics_addr"):
        try:
            place = check_address(getattr(server, field))
        except ValueError as error:
            report(f"server.{field}", str(error), "")
            continue
        if place[1] and place in places:
            report(f"server.{field}", f"is the same as {places[place]}", "Give each its own port.")
        places[place] = field

    if server.idle_timeout_s < server.read_timeout_s:
        report("server.idle_timeout", "is below read_timeout, within which idle connections are closed", "Raise it.")
    for index, network in enumerate(server.trusted_proxies):
        _network(network, f"server.trusted_proxies[{index}]", report)


def _network(text: str, key: str, report: Report) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        report(key, "is not a network", "Write e.g. 10.1.0.0/16 or 127.0.0.1/32.")


def _target(target: Target, key: str, report: Report) -> None:
    try:
        url = urlsplit(target.base_url)
        port = url.port
    except ValueError:
        report(f"{key}.base_url", "is not a URL", "Write e.g. https://api.example.com/v2.")
        return
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        report(f"{key}.base_url", "needs http or https and a host", "Write e.g. https://api.example.com/v2.")
    if url.username is not None or url.password is not None:
        report(f"{key}.base_url", "holds a user or a password", "Use credential with a reference instead.")
    if url.query or url.fragment:
        report(f"{key}.base_url", "holds a query or a fragment", "Give queries with each call.")
    if not target.allow:
        report(f"{key}.allow", "allows nothing", "List methods and paths, e.g. {methods: [GET], path: /orders/*}.")
    for index, rule in enumerate(target.allow):
        _rule(rule, f"{key}.allow[{index}]", report)
    for index, network in enumerate(target.allow_private):
        _network(network, f"{key}.allow_private[{index}]", report)
    for field, low, high in (
        ("timeout_s", 0.001, 3600),
        ("attempts", 1, 100),
        ("concurrency", 1, 10_000),
        ("max_response_bytes", 1, 256 << 20),
    ):
        if not low <= getattr(target, field) <= high:
            name = field.removesuffix("_s").removesuffix("_bytes")
            report(f"{key}.{name}", f"must be between {low} and {high}, is {getattr(target, field)}", "")
    if target.rate_per_s is not None and not 0 < target.rate_per_s <= 1_000_000:
        report(f"{key}.rate_per_s", f"must be above 0 and at most 1000000, is {target.rate_per_s}", "")
    if target.burst is not None and (target.rate_per_s is None or target.burst < 1):
        report(f"{key}.burst", "needs rate_per_s beside it and must be at least 1", "")
    breaker = target.breaker
    if not 0 < breaker.failure_ratio <= 1 or breaker.min_calls < 1 or breaker.window_s <= 0 or breaker.open_s <= 0:
        report(f"{key}.breaker", "needs 0 < failure_ratio <= 1 and everything else above 0", "")
    if target.credential is not None:
        _credential(target.credential, f"{key}.credential", report)
    if target.idempotency_header is not None:
        _header(target.idempotency_header, f"{key}.idempotency_header", report)
    if target.probe is not None:
        _probe(target.probe, target, f"{key}.probe", report)
    if target.fallback is not None and not 100 <= target.fallback.status <= 599:
        report(f"{key}.fallback.status", f"is {target.fallback.status}, not an HTTP status", "")


def _probe(probe: TargetProbe, target: Target, key: str, report: Report) -> None:
    try:
        template = ProbeTemplate.compile(probe.get)
    except ValueError as problem:
        report(f"{key}.get", str(problem), "Write e.g. /orders?reference={idempotency_key}.")
    else:
        try:
            allowed = Rules(target.allow).match("GET", template.sample) is not None
        except ValueError:
            allowed = False
        if not allowed:
            report(f"{key}.get", "is not allowed by any rule", "Add {methods: [GET], path: ...} to allow.")
    for field in ("applied", "value"):
        try:
            Expression.compile(getattr(probe, field))
        except ConfigInvalid as problem:
            report(f"{key}.{field}", problem.message, problem.cure)
    if probe.reference_header is not None:
        _header(probe.reference_header, f"{key}.reference_header", report)
    if target.idempotency_header is not None:
        report(
            key, "is never asked: calls carry an idempotency key", "Set idempotency_header to null, or leave it out."
        )
    if not 0 <= probe.grace_s <= 86_400 or not 1 <= probe.attempts <= 1000:
        report(key, "needs grace of at most a day and 1 to 1000 attempts", "")
    for status in (*probe.done, *probe.not_done):
        if not 200 <= status <= 599 or (status in probe.done and status in probe.not_done):
            report(key, f"status {status} is none, or says both", "Use each of 200 to 599 once.")


def _rule(rule: Rule, key: str, report: Report) -> None:
    if not rule.methods:
        report(f"{key}.methods", "is empty", "List at least one method.")
    try:
        Rules([rule])
    except ValueError as error:
        report(key, str(error), "Write e.g. {methods: [GET], path: /orders/*}.")


def _header(name: str, key: str, report: Report) -> None:
    if not _TOKEN.fullmatch(name) or name.lower() in _NOT_SETTABLE:
        report(key, "is not a header that can be set", "Write a header's name, e.g. Authorization.")


def _credential(credential: Credential, key: str, report: Report) -> None:
    _header(credential.header, f"{key}.header", report)
    if credential.scheme and not _TOKEN.fullmatch(credential.scheme):
        report(f"{key}.scheme", "is not one word", "Write e.g. Bearer, or leave it empty.")


def _subscription(subscription: Subscription, key: str, report: Report) -> None:
    for field in ("name", "type", "source"):
        if not getattr(subscription, field):
            report(f"{key}.{field}", "is empty", "")
        elif field != "name":
            try:
                well_formed(getattr(subscription, field), field)
            except ConfigInvalid as problem:
                report(f"{key}.{field}", _bare(problem), problem.cure)
    for field in ("where", "key", "fair_key"):
        _expression(getattr(subscription, field), f"{key}.{field}", report)


def _expression(text: str | None, key: str, report: Report) -> None:
    if text is None:
        return
    try:
        Expression.compile(text)
    except ConfigInvalid as problem:
        report(key, _bare(problem), problem.cure)
