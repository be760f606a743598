"""From a verified request to a delivery."""

from __future__ import annotations

from typing import Any

from rco.bridge.contract import Expression, ProviderSettings
from rco.bridge.passing import Kept, Proven, reference
from rco.errors import RcoError, Reason, Refused
from rco.kit.digest import content_address
from rco.model.delivery import Delivery
from rco.model.event import Event

__all__ = ["SIGNED_TIME_HORIZON_S", "UNSIGNED_TIME_HORIZON_S", "Forming", "named_type", "type_of"]

SIGNED_TIME_HORIZON_S = 7 * 86400.0
"""Senders retry for up to three days; each retry is signed anew with the same identity."""
UNSIGNED_TIME_HORIZON_S = 30 * 86400.0
"""Where no time is signed, a stolen request stays good for as long as its claim is not remembered."""
NAME_CAP_CHARS = 256


def type_of(data: dict[str, Any], field: str) -> str:
    """The event type in a top-level field. Raises ``Refused``: ``type_missing`` or ``type_malformed``."""
    found = data.get(field)
    if found is None:
        raise Refused(Reason.MALFORMED, "type_missing")
    if type(found) is not str or not 0 < len(found) <= NAME_CAP_CHARS or not found.isprintable():
        raise Refused(Reason.MALFORMED, "type_malformed")
    return found


def named_type(prefix: str, name: str) -> str:
    """A type under its provider's prefix. Raises ``Refused`` (``type_malformed``) when it becomes too long."""
    if len(prefix) + len(name) > NAME_CAP_CHARS:
        raise Refused(Reason.MALFORMED, "type_malformed")
    return prefix + name


class Forming:
    """What is the same for all deliveries of one provider."""

    __slots__ = ("_expression", "_name", "_namespace", "_sig_alg", "_source", "_ttl_s")

    def __init__(
        self, settings: ProviderSettings, sig_alg: str, expression: Expression | None, default_horizon_s: float
    ) -> None:
        self._name, self._namespace = settings.name, settings.namespace
        self._source = settings.source if settings.source is not None else f"/webhooks/{settings.name}"
        self._sig_alg, self._expression = sig_alg, expression
        horizon_s = default_horizon_s if settings.retry_horizon_s is None else settings.retry_horizon_s
        # A claim must outlive the window in which its request can be replayed.
        self._ttl_s = max(horizon_s, settings.age_limit_s) + settings.skew_limit_s

    def delivery(
        self,
        *,
        data: Any,
        body: bytes,
        event_id: str,
        event_type: str,
        time_us: int,
        now_us: int,
        corr_id: str,
        trace: str,
        claim: bytes,
        secret_id: str,
        payload: bytes | None = None,
        sig_alg: str | None = None,
        b3: str = "",
    ) -> Delivery:
        """The delivery. ``payload`` is the event's data where it is not the body itself; ``sig_alg`` another algorithm
        than the provider's usual; ``b3`` the address of a body that is not here. Raises ``Refused`` (``MALFORMED``):
        ``subject_malformed`` or ``subject_failed``, when the provider's expression does not give a subject from this
        body."""
        address = b3 or content_address(body)
        return Delivery(
            provider=self._name,
            event=Event(
                id=event_id,
                source=self._source,
                type=event_type,
                data=body if payload is None else payload,
                time_us=time_us,
                received_us=now_us,
                corr_id=corr_id,
                subject=None if self._expression is None else _subject(self._expression, data),
                namespace=self._namespace,
                origin=self._name,
                trace=trace,
            ),
            claim=claim,
            claim_ttl_s=self._ttl_s,
            secret_id=secret_id,
            sig_alg=sig_alg or self._sig_alg,
            b3=address,
            data_b3=address if payload is None or payload is body else "",
            value=data,
        )

    def large(
        self,
        proven: Proven,
        kept: Kept,
        *,
        event_id: str,
        event_type: str,
        time_us: int,
        now_us: int,
        corr_id: str,
        trace: str,
    ) -> Delivery:
        """The delivery whose body is ``kept`` elsewhere: its data is the reference. An empty ``event_id`` is the
        claim's text."""
        return self.delivery(
            data=None,
            body=b"",
            payload=reference(kept),
            event_id=event_id or proven.claim.hex(),
            event_type=event_type,
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace,
            claim=proven.claim,
            secret_id=proven.secret_id,
            b3=kept.address,
        )


def _subject(expression: Expression, data: Any) -> str | None:
    try:
        found = expression(data)
    except (RcoError, ValueError, TypeError, KeyError, ArithmeticError) as error:
        # Without a subject the event would be accepted and find nobody; the sender should hear of it instead.
        raise Refused(Reason.MALFORMED, "subject_failed") from error
    if found is None:
        return None
    if type(found) is int:
        return str(found)
    if type(found) is not str or not 0 < len(found) <= NAME_CAP_CHARS or not found.isprintable():
        raise Refused(Reason.MALFORMED, "subject_malformed")
    return found
