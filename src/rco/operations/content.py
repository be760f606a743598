"""Content: put bytes in, get them out by their address."""

from __future__ import annotations

import msgspec

from rco.capability.authority import Proved
from rco.capability.scope import Ask
from rco.capability.token import TEXT_PREFIX, shown_id
from rco.errors import Reason, Refused
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.objects.content import Meta, Stored
from rco.objects.staging import StagedObjects
from rco.operations.clearance import Granting
from rco.operations.desk import Desk
from rco.operations.observe_traces import came_in
from rco.operations.receive import admission_of, begin_opened, openings, require_open
from rco.store.contract.changes import Admitted
from rco.telemetry import signals

__all__ = ["PUT_EVENT", "PUT_ORIGIN", "PutRight", "may_put", "record_put"]

PUT_EVENT = "interop.put.accepted.v1"
PUT_ORIGIN = "put"
"""The origin of that event: rules in `grants` say what `provider:put` may start."""
_ASKED_OF_BODY = "cap_body"


class PutRight:
    """What one request may put. ``check`` once more when the content is known: a capability may be bound to it."""

    __slots__ = ("_corr_id", "_proved", "namespace", "shown")

    def __init__(self, proved: Proved, corr_id: str) -> None:
        self._proved, self._corr_id = proved, corr_id
        self.namespace, self.shown = proved.namespace, shown_id(proved.id)

    def check(self, address: str) -> None:
        """Raises ``Refused``: ``EXPIRED_TOKEN`` or ``SCOPE_MISMATCH``."""
        self._proved.check(Ask(kind="write:put", namespace=self.namespace, b3=address, corr_id=self._corr_id))


def may_put(desk: Desk, authorization: str | None, corr_id: str) -> PutRight:
    """The right that a request shows, before anything of its body is read.

    Only a capability is one: a principal's own token says who they are, not what they may put. Raises ``Refused``, also
    where capabilities are not enforced: without them nothing is taken.
    """
    if not isinstance(desk.clearance, Granting):
        raise Refused(Reason.UNAUTH, "cap_service_missing")
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(TEXT_PREFIX):
        raise Refused(Reason.UNAUTH, "cap_missing")
    right = PutRight(desk.clearance.authority.read(token), corr_id)
    try:
        right.check("")
    except Refused as refused:
        # What it is bound to is known when the body is.
        if refused.detail != _ASKED_OF_BODY:
            raise
    return right


async def record_put(
    desk: Desk,
    right: PutRight,
    stored: Stored,
    meta: Meta,
    corr_id: str,
    trace: str = "",
    staging: StagedObjects | None = None,
) -> None:
    """Make the acceptance of ``stored`` durable: the decision, the event, the runs that want it, and the content itself
    where it is staged with ``staging``.

    Raises ``Overloaded`` and ``StoreError``; the content may be kept then, and nobody was told so: a second put is due.
    """
    try:
        await _record_put(desk, right, stored, meta, corr_id, trace, staging)
    except BaseException:
        if staging is not None and stored.staged is not None:
            staging.drop(stored.staged)
        raise


async def _record_put(
    desk: Desk,
    right: PutRight,
    stored: Stored,
    meta: Meta,
    corr_id: str,
    trace: str,
    staging: StagedObjects | None,
) -> None:
    require_open(desk, right.namespace)
    now_us = desk.clock.now_us()
    trace, caller = desk.tracer.came(trace)
    said = {key: value for key in ("type", "content_encoding", "provider") if (value := getattr(meta, key))}
    event = Event(
        id=id_text(desk.ids.uuid7()),
        source="/put",
        type=PUT_EVENT,
        subject=stored.address,
        data=msgspec.json.encode({"address": stored.address, "size_bytes": stored.size_bytes, **said}),
        time_us=now_us,
        received_us=now_us,
        corr_id=corr_id,
        namespace=right.namespace,
        origin=PUT_ORIGIN,
        trace=trace,
    )
    opened, letters, more = openings(desk, event, f"provider:{PUT_ORIGIN}")
    desk.engine.admit(len(opened))
    decision = Decision(
        verb=Verb.ACCEPT,
        at_us=now_us,
        actor=f"capability:{right.shown}",
        subject=PUT_ORIGIN,
        event=event.id,
        corr_id=corr_id,
        b3=stored.address,
        facts={"type": PUT_EVENT, "size_bytes": stored.size_bytes, "runs": len(opened), "capability": right.shown},
    )

    def begin(outcome: Admitted) -> None:
        if staging is not None and stored.staged is not None and outcome.status == "accepted":
            # Before the runs begin: they read it.
            staging.keep(stored.staged)
        begin_opened(desk, outcome, opened)

    admission = admission_of(event, opened, letters, None, [decision, *more], [])
    admission.staged = stored.staged
    await desk.engine.submit(0, admission, begin)
    if desk.trail is not None:
        desk.trail.tell(decision)
    if desk.tracer.on:
        came_in(desk.tracer, desk.clock, event, "/put", caller, {"rco.size_bytes": stored.size_bytes})
    desk.metrics.counter(signals.EVENTS, origin="put").add()
