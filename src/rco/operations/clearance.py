"""Clearance: from who or what begins something to the capability that its runs hold.

A verified event becomes one capability with exactly the scopes that the policy gives to its origin, alive for
``capability.ttl`` and bound to the event's namespace, correlation id and body. Each run that it starts has it narrowed
to what the policy gives to the subscription, and holds the calls among that as its grant (``rco.capability.grant``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from rco.capability.authority import Proved, Refusal
from rco.capability.office import Office
from rco.capability.scope import Ask, covers, parse_scopes, scopes_text
from rco.capability.token import shown_id
from rco.egress.client import Egress
from rco.egress.held import Held
from rco.egress.permit import Permit
from rco.errors import Forbidden, Misuse, Reason, Refused
from rco.kit.digest import content_address
from rco.model.event import Event
from rco.model.principal import Principal
from rco.model.subscription import Subscription
from rco.operations.policy import BEFORE, Policy
from rco.telemetry import signals
from rco.telemetry.metrics import Counter, Metrics

__all__ = ["OPEN", "Clearance", "Cleared", "GrantFor", "Granting", "Open", "enforcing"]

GrantFor = Callable[[bytes], dict[str, Any]]
"""The grant of the run that gets this identity."""
Facts = dict[str, str | int | bool]


class Cleared(Protocol):
    """What one event may do."""

    facts: Facts
    """For the evidence: which capability it was."""

    def accept(self, provider: str) -> None:
        """Raises ``Refused(POLICY_BLOCKED)`` when it may not come in."""
        ...

    def start(self, subscription: Subscription) -> GrantFor | None:
        """The grant of the run that ``subscription`` starts. Raises ``Forbidden`` when it may not start it."""
        ...

    def publish(self, subscription: Subscription) -> None:
        """Raises ``Forbidden`` when the event may not be sent where ``subscription`` sends it."""
        ...


class Clearance(Protocol):
    """Gives rights. Behind it stands the policy, or nothing where capabilities are not enforced."""

    def event(self, event: Event, b3: str = "") -> Cleared:
        """``b3``: the address of the event's data, where it is known. Raises ``StoreError`` when no right can be given
        now."""
        ...

    def principal(self, principal: Principal, workflow: str, corr_id: str) -> GrantFor | None:
        """The grant of a run that somebody starts by name. Their role has allowed the start itself."""
        ...

    def schedule(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:
        """The grant of a run that a schedule starts. Who made the schedule was allowed to."""
        ...

    def outbox(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:
        """The grant of a run that an entry of an outbox starts. Raises ``Forbidden`` when no rule allows it."""
        ...

    def again(self, grant: Any, run_id: bytes) -> GrantFor | None:
        """The grant of a run that is started in the place of ``run_id``, which holds ``grant``: the same rights."""
        ...


class Open:
    """Capabilities are not enforced: every run may make every call that its targets allow."""

    facts: Facts = {}

    def accept(self, provider: str) -> None:
        """Whatever was verified comes in."""

    def start(self, subscription: Subscription) -> GrantFor | None:  # noqa: ARG002
        return None

    def publish(self, subscription: Subscription) -> None:
        """Whatever matches is sent."""

    def event(self, event: Event, b3: str = "") -> Cleared:  # noqa: ARG002
        return self

    def principal(self, principal: Principal, workflow: str, corr_id: str) -> GrantFor | None:  # noqa: ARG002
        return None

    def schedule(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:  # noqa: ARG002
        return None

    def outbox(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:  # noqa: ARG002
        return None

    def again(self, grant: Any, run_id: bytes) -> GrantFor | None:  # noqa: ARG002
        return None


OPEN = Open()


class Granting:
    """Capabilities are enforced: nothing is allowed that no rule grants."""

    def __init__(self, office: Office, policy: Policy, metrics: Metrics, *, ttl_s: float) -> None:
        self.office, self.authority = office, office.authority
        self.policy, self.ttl_s = policy, ttl_s
        """``policy`` is replaced by a reload."""
        self._metrics = metrics
        self._issued = lru_cache(maxsize=256)(self._counters)

    def mint(self, scopes: tuple[str, ...], *, namespace: str, ttl_s: float, corr_id: str = "", b3: str = "") -> Proved:
        """As ``Authority.mint``, and counted."""
        proved = self.authority.mint(scopes, namespace=namespace, ttl_s=ttl_s, corr_id=corr_id, b3=b3)
        for counter in self._issued(scopes):
            counter.add()
        return proved

    def _counters(self, scopes: tuple[str, ...]) -> list[Counter]:
        kinds = {scope.partition(":")[0] for scope in scopes}
        return [self._metrics.counter(signals.INTEROP_CAPABILITIES_ISSUED, scope=kind) for kind in sorted(kinds)]

    def event(self, event: Event, b3: str = "") -> Cleared:
        emitter = event.source.removeprefix("/runs/") if event.origin.startswith("run:") else ""
        origin = f"run:{emitter}" if emitter else f"provider:{event.origin}"
        if event.origin.startswith("outbox:"):
            origin = event.origin
        b3 = b3 or content_address(event.data)
        scopes = self.policy.scopes((origin,))
        proved = self.mint(scopes, namespace=event.namespace, ttl_s=self.ttl_s, corr_id=event.corr_id, b3=b3)
        return _OfEvent(self, event, origin, proved, b3)

    def principal(self, principal: Principal, workflow: str, corr_id: str) -> GrantFor | None:
        origins = (f"principal:{principal.principal_id}", f"role:{principal.role.value}")
        return self._begins(origins, principal.namespace, workflow, corr_id)

    def schedule(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:
        return self._begins((f"schedule:{name}",), namespace, workflow, corr_id)

    def outbox(self, name: str, namespace: str, workflow: str, corr_id: str) -> GrantFor | None:
        origin = f"outbox:{name}"
        scopes = self.policy.scopes((origin,))
        ask = Ask(kind="run:start", name=workflow, namespace=namespace, corr_id=corr_id)
        if not covers(parse_scopes(scopes_text(scopes)), ask):
            raise Forbidden(
                f"no rule grants run:start:{workflow} to {origin}.", cure="Add it to grants in the configuration."
            )
        return self._begins((origin,), namespace, workflow, corr_id)

    def _begins(self, origins: tuple[str, ...], namespace: str, workflow: str, corr_id: str) -> GrantFor:
        start = f"run:start:{workflow}"
        calls = _calls(self.policy.scopes(origins))
        proved = self.mint((start, *calls), namespace=namespace, ttl_s=self.ttl_s, corr_id=corr_id)
        ask = Ask(kind="run:start", name=workflow, namespace=namespace, corr_id=corr_id)
        return lambda run_id: proved.grant(ask, run_id, calls)

    def again(self, grant: Any, run_id: bytes) -> GrantFor | None:
        if not isinstance(grant, dict):
            return None
        return lambda other: self.authority.inherited(grant, run_id, other)

    def caller(self, egress: Egress, run_id: bytes, start: Mapping[str, Any]) -> Held:
        """Who calls for the run of this identity that began with ``start``."""
        grant = start.get("grant")
        rights = _Before(self) if grant is None else self.authority.rights(grant, run_id)
        return Held(egress, _Counted(rights, self._metrics))


class _Before:
    """What a run may do that holds no capability: it began before they were enforced."""

    __slots__ = ("_granting",)
    shown = BEFORE

    def __init__(self, granting: Granting) -> None:
        self._granting = granting

    def refusal(self, ask: Ask) -> Refusal | None:
        scopes = parse_scopes(scopes_text(self._granting.policy.scopes((BEFORE,))))
        if covers(scopes, ask):
            return None
        return Refusal("cap_missing", f"the run holds no capability, and no rule grants {ask.action} to {BEFORE!r}")


class _Counted:
    """A permit whose refusals are counted by cause."""

    __slots__ = ("_metrics", "_permit")

    def __init__(self, permit: Permit, metrics: Metrics) -> None:
        self._permit, self._metrics = permit, metrics

    @property
    def shown(self) -> str:
        return self._permit.shown

    def refusal(self, ask: Ask) -> Refusal | None:
        refusal = self._permit.refusal(ask)
        if refusal is not None:
            self._metrics.counter(signals.CAPABILITY_REFUSALS, cause=refusal.reason).add()
        return refusal


class _OfEvent:
    """The capability of one event. It lives no longer than the request that brought the event."""

    __slots__ = ("_b3", "_event", "_granting", "_origin", "_proved", "facts")

    def __init__(self, granting: Granting, event: Event, origin: str, proved: Proved, b3: str) -> None:
        self._granting, self._event, self._origin, self._b3 = granting, event, origin, b3
        self._proved = proved
        self.facts: Facts = {
            "capability": shown_id(proved.id),
            "kid": proved.token.kid,
            "key_version": proved.key_version,
        }

    def _ask(self, kind: str, name: str) -> Ask:
        event = self._event
        return Ask(kind=kind, name=name, namespace=event.namespace, corr_id=event.corr_id, b3=self._b3)

    def accept(self, provider: str) -> None:
        try:
            self._proved.check(self._ask("webhook:accept", provider))
        except Refused as refused:
            raise Refused(Reason.POLICY_BLOCKED, refused.detail) from None

    def start(self, subscription: Subscription) -> GrantFor | None:
        scopes = self._granting.policy.scopes((self._origin,), subscription.name)
        ask = self._ask("run:start", subscription.workflow)
        if not covers(parse_scopes(scopes_text(scopes)), ask):
            raise Forbidden(
                f"no rule grants run:start:{subscription.workflow} to {self._origin}.",
                cure="Add it to grants in the configuration, then replay the letter.",
            )
        # What the rules give to this subscription, and of that what a run does: the start is behind it.
        return lambda run_id: self._proved.grant(ask, run_id, _calls(scopes))

    def publish(self, subscription: Subscription) -> None:
        to, event = subscription.publish, self._event
        assert to is not None
        ask = Ask(
            kind="publish",
            name=to.broker,
            topic=to.topic,
            namespace=event.namespace,
            corr_id=event.corr_id,
            b3=self._b3,
        )
        scopes = self._granting.policy.scopes((self._origin,), subscription.name)
        if not covers(parse_scopes(scopes_text(scopes)), ask):
            raise Forbidden(
                f"no rule grants {ask.action} to {self._origin}.",
                cure="Add it to grants in the configuration, then replay the letter.",
            )
        try:
            self._proved.check(ask)
        except Refused as refused:
            raise Forbidden(
                f"the capability of the event does not allow {ask.action}: {refused.detail}.", cure="Replay the letter."
            ) from None


@lru_cache(maxsize=1024)
def _calls(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if scope.startswith("call:"))


def enforcing(clearance: Clearance) -> Granting:
    """``clearance`` where capabilities are enforced. Raises ``Misuse`` where they are not."""
    if isinstance(clearance, Granting):
        return clearance
    raise Misuse(
        "capabilities are not enforced here.",
        cure="Set capability.enforce: true; see docs/how-to/limit-what-runs-may-do.md.",
    )
