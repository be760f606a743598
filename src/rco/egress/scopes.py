"""Scopes: what a limit or a switch is for, and the limits that lie beside a target's own.

A call passes, in this order: its namespace's limits, its namespace's at this target, the credential's, the target's.
Everybody takes them in the same order, so nobody waits for somebody who waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rco.egress.leaser import Leaser
from rco.egress.limits import Limits
from rco.kit.clock import Clock
from rco.model.target import CallLimits, Target

__all__ = ["LINE_LIMIT", "Scopes", "credential_scope", "namespace_scope", "part_scope", "target_scope"]

LINE_LIMIT = 1024
"""Callers that may wait for one limit."""
_ANY = "*"
_NAMES_MAX = 10_000


def target_scope(target: str) -> str:
    return f"target:{target}"


def namespace_scope(namespace: str) -> str:
    return f"namespace:{namespace}"


def part_scope(target: str, namespace: str) -> str:
    """One namespace's part of a target."""
    return f"target:{target}/namespace:{namespace}"


def credential_scope(reference: str) -> str:
    return f"credential:{reference}"


class Scopes:
    """Makes limits when they are first needed; a declaration that stays the same keeps them. ``leased``: rate and
    concurrency are shared by several nodes; ``own_leased``: whether those of targets themselves are, else
    as ``leased``. Without a ``leaser`` nothing is shared, and there are no budgets."""

    def __init__(self, clock: Clock, leaser: Leaser | None, *, leased: bool, own_leased: bool | None = None) -> None:
        self._clock, self._leaser, self._leased = clock, leaser, leased
        self._own_leased = leased if own_leased is None else own_leased
        self._namespaces: Mapping[str, CallLimits] = {}
        self._credentials: dict[str, CallLimits] = {}
        self._longest_s = 0.0
        self._made: dict[str, tuple[CallLimits, Limits]] = {}

    def declare(self, targets: Iterable[Target], namespaces: Mapping[str, CallLimits]) -> None:
        """These are the targets and namespaces from now on."""
        self._namespaces, self._credentials, self._longest_s = namespaces, {}, 0.0
        for target in targets:
            self._longest_s = max(self._longest_s, target.timeout_s)
            if target.credential is not None and target.credential.limits is not None:
                self._credentials.setdefault(target.credential.secret, target.credential.limits)

    def of_target(self, target: Target) -> Limits:
        """The target's own limits, made anew. Raises ``ValueError`` when a number makes no sense."""
        declared = CallLimits(
            rate_per_s=target.rate_per_s, burst=target.burst, concurrency=target.concurrency, budgets=target.budgets
        )
        return self._make(target_scope(target.name), declared, target.timeout_s, self._own_leased)

    def beside(self, target: Target, namespace: str) -> tuple[Limits, ...]:
        """The other limits for a call of ``namespace`` to ``target``, in their order."""
        found: list[Limits] = []
        own = self._namespaces.get(namespace) or self._namespaces.get(_ANY)
        if own is not None:
            found.append(self._get(namespace_scope(namespace), own, self._longest_s))
        if target.per_namespace is not None:
            found.append(self._get(part_scope(target.name, namespace), target.per_namespace, target.timeout_s))
        if target.credential is not None:
            shared = self._credentials.get(target.credential.secret)
            if shared is not None:
                found.append(self._get(credential_scope(target.credential.secret), shared, self._longest_s))
        return tuple(found)

    def made(self, target: Target) -> list[Limits]:
        """Those beside the target's own that calls to it have needed, by scope."""
        credential = "" if target.credential is None else credential_scope(target.credential.secret)
        part = part_scope(target.name, "")
        return [
            limits
            for scope, (_, limits) in sorted(self._made.items())
            if scope == credential or scope.startswith((part, "namespace:"))
        ]

    def all(self) -> list[Limits]:
        return [limits for _, limits in self._made.values()]

    def _get(self, scope: str, declared: CallLimits, call_s: float) -> Limits:
        made = self._made.get(scope)
        if made is None or made[0] != declared:
            if len(self._made) > _NAMES_MAX:
                # Namespaces come and go; what nobody uses is forgotten.
                for name in [name for name, (_, one) in self._made.items() if not (one.in_flight or one.waiting)]:
                    del self._made[name]
            made = self._made[scope] = (declared, self._make(scope, declared, call_s, self._leased))
        return made[1]

    def _make(self, scope: str, declared: CallLimits, call_s: float, leased: bool) -> Limits:
        limits = Limits(
            rate_per_s=declared.rate_per_s,
            burst=declared.burst,
            concurrency=declared.concurrency,
            line_limit=LINE_LIMIT,
            clock=self._clock,
            budgets=declared.budgets if self._leaser is not None else (),
            scope=scope,
            leased=leased,
        )
        if self._leaser is not None and (leased or declared.budgets):
            self._leaser.add(limits, call_s)
        return limits
