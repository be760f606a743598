"""Endpoints of outgoing webhooks: make, list, change, rotate, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import UNSET
from msgspec.structs import replace

from rco.errors import ConfigInvalid, Conflict, NotFound, Reason, Refused
from rco.kit.clock import MICROS, iso
from rco.model.decision import Decision, Verb
from rco.model.endpoint import Endpoint, EndpointState, SigningSecret
from rco.model.principal import Principal, Role
from rco.model.wire_endpoints import (
    CreateEndpoint,
    EndpointPage,
    EndpointView,
    MadeEndpoint,
    PatchEndpoint,
    RotateAsk,
    SecretView,
)
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.recording import record
from rco.webhooks.book import check
from rco.webhooks.hooks import Hooks

__all__ = [
    "create_endpoint",
    "delete_endpoint",
    "enable_endpoint",
    "find_endpoint",
    "list_endpoints",
    "patch_endpoint",
    "rotate_endpoint",
    "show_endpoint",
    "the_hooks",
]

SECRETS_MAX = 5


async def create_endpoint(desk: Desk, principal: Principal, ask: CreateEndpoint) -> MadeEndpoint:
    """Make an endpoint in the principal's namespace. Needs the administrator's role.

    When this returns it is durable, and this node sends to it; the others do within a second. A second call makes
    another. Raises ``Refused(MALFORMED)`` that names the field, ``Conflict`` when the namespace has as many as it may.
    """
    require(principal, Role.ADMIN)
    hooks = the_hooks(desk)
    await hooks.book.look()
    if len(hooks.book.of(principal.namespace)) >= hooks.sender.options.endpoints_limit:
        raise Conflict(
            f"the namespace has {hooks.sender.options.endpoints_limit} endpoints.",
            cure="Delete one, or raise webhooks.endpoints_limit.",
        )
    now_us = desk.clock.now_us()
    endpoint_id = f"ep_{desk.ids.ulid()}"
    made = Endpoint(
        endpoint_id=endpoint_id,
        namespace=principal.namespace,
        url=ask.url,
        types=tuple(ask.types),
        since_us=now_us,
        order_by=ask.order_by,
        rate_per_s=ask.rate_per_s,
        burst=ask.burst,
        note=ask.note,
        created_us=now_us,
    )
    _check(hooks, made)
    secret, text = _secret(desk, principal, hooks, endpoint_id, ask.signing, ask.secret)
    made = replace(made, secrets=(secret,))
    if not await desk.reader.swap_endpoint(made):
        raise Conflict(f"endpoint {endpoint_id} is there already.", cure="Look: rco endpoint list.")
    await hooks.book.look()
    await _record(desk, principal, made, "create", signed_with=secret.secret_id)
    return MadeEndpoint(endpoint=_view(made, now_us), secret=text)


async def list_endpoints(desk: Desk, principal: Principal) -> EndpointPage:
    """The endpoints of the principal's namespace. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    hooks = the_hooks(desk)
    await hooks.book.look()
    now_us = desk.clock.now_us()
    return EndpointPage(items=[_view(one, now_us) for one in hooks.book.of(principal.namespace)])


async def show_endpoint(desk: Desk, principal: Principal, endpoint_id: str) -> EndpointView:
    """One endpoint. Needs the viewer's role. Raises ``NotFound``."""
    require(principal, Role.VIEWER)
    return _view(await find_endpoint(desk, principal, endpoint_id), desk.clock.now_us())


async def patch_endpoint(desk: Desk, principal: Principal, endpoint_id: str, ask: PatchEndpoint) -> EndpointView:
    """Change what ``ask`` names. Needs the administrator's role. Deliveries that wait go to the new address. May be
    repeated. Raises ``NotFound`` and ``Refused(MALFORMED)``."""
    require(principal, Role.ADMIN)
    hooks = the_hooks(desk)
    now_us = desk.clock.now_us()

    def change(one: Endpoint) -> Endpoint:
        made = one
        if ask.url is not UNSET:
            made = replace(made, url=ask.url)
        if ask.types is not UNSET:
            made = replace(made, types=tuple(ask.types))
        if ask.order_by is not UNSET:
            made = replace(made, order_by=ask.order_by)
        if ask.rate_per_s is not UNSET:
            made = replace(made, rate_per_s=ask.rate_per_s)
        if ask.burst is not UNSET:
            made = replace(made, burst=ask.burst)
        if ask.note is not UNSET:
            made = replace(made, note=ask.note)
        if ask.enabled is True:
            made = _enabled(made, now_us)
        elif ask.enabled is False and made.state is EndpointState.ENABLED:
            cause = ask.reason or "disabled"
            made = replace(
                made, state=EndpointState.DISABLED, cause=cause, since_us=now_us, disabled_by=_actor(principal)
            )
        _check(hooks, made)
        return made

    changed = await _changed(desk, principal, endpoint_id, change)
    await _record(desk, principal, changed, "change", ask.reason)
    return _view(changed, now_us)


async def enable_endpoint(desk: Desk, principal: Principal, endpoint_id: str) -> EndpointView:
    """Send to it again. Needs the operator's role. What could not be delivered meanwhile is replayed only when that is
    asked for. May be repeated. Raises ``NotFound``."""
    require(principal, Role.OPERATOR)
    now_us = desk.clock.now_us()
    changed = await _changed(desk, principal, endpoint_id, lambda one: _enabled(one, now_us))
    await _record(desk, principal, changed, "enable")
    return _view(changed, now_us)


async def rotate_endpoint(desk: Desk, principal: Principal, endpoint_id: str, ask: RotateAsk) -> MadeEndpoint:
    """Give it a new signing secret; those before sign as well until the grace ends. Needs the administrator's role. A
    second call rotates again. Raises ``NotFound``, ``Refused(MALFORMED)``, ``Conflict`` when five secrets sign."""
    require(principal, Role.ADMIN)
    hooks = the_hooks(desk)
    stands = await find_endpoint(desk, principal, endpoint_id)
    now_us = desk.clock.now_us()
    grace_s = hooks.sender.options.grace_s if ask.grace_s is None else ask.grace_s
    kind = ask.signing or stands.secrets[0].kind
    secret, text = _secret(desk, principal, hooks, endpoint_id, kind, ask.secret)
    ends_us = now_us + round(grace_s * MICROS)

    def change(one: Endpoint) -> Endpoint:
        before = [
            replace(old, expires_us=ends_us if old.expires_us is None else min(old.expires_us, ends_us))
            for old in one.secrets
        ]
        live = [old for old in before if old.expires_us is not None and old.expires_us > now_us]
        if len(live) >= SECRETS_MAX:
            raise Conflict(
                f"{len(live)} secrets sign for {endpoint_id}.",
                cure="Wait until one has expired, or rotate with a grace of 0.",
            )
        return replace(one, secrets=(secret, *live))

    changed = await _changed(desk, principal, endpoint_id, change)
    await _record(desk, principal, changed, "rotate", signed_with=secret.secret_id, grace_s=round(grace_s))
    return MadeEndpoint(endpoint=_view(changed, now_us), secret=text)


async def delete_endpoint(desk: Desk, principal: Principal, endpoint_id: str) -> None:
    """Remove it with its secrets; deliveries that wait fail at their next attempt. Needs the administrator's role.
    Raises ``NotFound``, at a second call too."""
    require(principal, Role.ADMIN)
    now_us = desk.clock.now_us()

    def change(one: Endpoint) -> Endpoint:
        return replace(
            one, state=EndpointState.DELETED, url="", types=(), secrets=(), order_by=None, note="", since_us=now_us
        )

    changed = await _changed(desk, principal, endpoint_id, change)
    await _record(desk, principal, changed, "delete")


def the_hooks(desk: Desk) -> Hooks:
    """Raises ``NotFound`` where no webhooks are sent."""
    if desk.webhooks is None:
        raise NotFound("no webhooks are sent here.", cure="Ask a service that was started with `rco serve`.")
    return desk.webhooks


async def find_endpoint(desk: Desk, principal: Principal, endpoint_id: str) -> Endpoint:
    """The endpoint, or ``NotFound``; one of another namespace is not found either."""
    the_hooks(desk)
    found = await desk.reader.endpoint(endpoint_id)
    if found is None or found.namespace != principal.namespace or found.state is EndpointState.DELETED:
        raise NotFound(f"no endpoint {endpoint_id[:64]!r}.", cure="See `rco endpoint list`.")
    return found


async def _changed(
    desk: Desk, principal: Principal, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
) -> Endpoint:
    await find_endpoint(desk, principal, endpoint_id)

    def unless_gone(one: Endpoint) -> Endpoint | None:
        return None if one.state is EndpointState.DELETED else change(one)

    changed = await the_hooks(desk).change(endpoint_id, unless_gone)
    if changed is None:
        raise NotFound(f"no endpoint {endpoint_id!r}.", cure="See `rco endpoint list`.")
    return changed


def _enabled(one: Endpoint, now_us: int) -> Endpoint:
    if one.state is EndpointState.ENABLED:
        return one
    return replace(one, state=EndpointState.ENABLED, cause="", since_us=now_us, disabled_by="", failing_since_us=None)


def _check(hooks: Hooks, endpoint: Endpoint) -> None:
    if endpoint.burst is not None and endpoint.rate_per_s is None:
        raise Refused(Reason.MALFORMED, "bad_endpoint", "burst: there is no rate_per_s that it could be of")
    try:
        hooks.sender.check(endpoint.url)
        check(endpoint)
    except ConfigInvalid as problem:
        raise Refused(Reason.MALFORMED, "bad_endpoint", str(problem)) from None


def _secret(
    desk: Desk,
    principal: Principal,
    hooks: Hooks,
    endpoint_id: str,
    kind: Literal["v1", "v1a"],
    reference: str | None,
) -> tuple[SigningSecret, str]:
    now_us = desk.clock.now_us()
    try:
        if reference is None:
            return hooks.sender.safe.make(principal.namespace, endpoint_id, kind, now_us)
        if desk.spaces is not None:
            # What this machine keeps is nobody's own: a tenant could have another's secret sign for it.
            desk.spaces.need_all(principal)
        made = hooks.sender.safe.refer(reference, now_us)
    except ConfigInvalid as problem:
        raise Refused(Reason.MALFORMED, "bad_secret", f"secret: {problem}") from None
    return made, made.public


def _actor(principal: Principal) -> str:
    return f"principal:{principal.principal_id}"


def _view(one: Endpoint, now_us: int) -> EndpointView:
    return EndpointView(
        id=one.endpoint_id,
        namespace=one.namespace,
        url=one.url,
        types=list(one.types),
        state="enabled" if one.state is EndpointState.ENABLED else "disabled",
        since=iso(one.since_us),
        created_at=iso(one.created_us),
        secrets=[
            SecretView(
                id=secret.secret_id,
                kind=secret.kind,
                made_at=iso(secret.made_us),
                expires_at=_time(secret.expires_us),
                reference=secret.reference,
                public=secret.public,
            )
            for secret in one.secrets
            if secret.expires_us is None or secret.expires_us > now_us
        ],
        cause=one.cause,
        disabled_by=one.disabled_by,
        failing_since=_time(one.failing_since_us),
        order_by=one.order_by,
        rate_per_s=one.rate_per_s,
        burst=one.burst,
        note=one.note,
    )


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else iso(at_us)


async def _record(
    desk: Desk, principal: Principal, one: Endpoint, did: str, reason: str = "", **facts: str | int
) -> None:
    decision = Decision(
        verb=Verb.ENDPOINT,
        at_us=desk.clock.now_us(),
        actor=_actor(principal),
        subject=one.endpoint_id,
        reason=reason,
        facts={"did": did, "namespace": one.namespace, "state": one.state.value, **facts},
    )
    await record(desk, decision)
