"""Take an entry of an outbox: start the run, send the signal or publish the event that another transaction asked for.

Asked twice for the same entry it gives the same: starts are recognised by their key, signals by their message id,
events by a claim.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rco.datasource.entry import Entry, Fate, Handled
from rco.datasource.options import Outbox
from rco.engine.ask import StartAsk
from rco.errors import Forbidden, NotFound, Overloaded, RcoError, Reason, Refused, StoreError
from rco.kit.clock import MICROS
from rco.kit.digest import digest
from rco.kit.ids import id_bytes, id_text, well_formed_corr_id
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.journal import Kind, decode_segment
from rco.model.run import RunRow
from rco.operations.desk import Desk
from rco.operations.receive import admission_of, begin_opened, keep_data, openings
from rco.store.contract.changes import Claim
from rco.telemetry import signals

__all__ = ["take_entry"]

_CLAIMED_US = 30 * 86_400 * MICROS
_DUPLICATE = Handled(Fate.DUPLICATE)
_ACCEPTED = Handled(Fate.ACCEPTED)


async def take_entry(desk: Desk, outbox: Outbox, entry: Entry) -> Handled:
    """What became of ``entry``. What can never be taken is refused with its cause; nothing of it was written then."""
    try:
        handled = await _take(desk, outbox, entry)
    except (StoreError, Overloaded) as problem:
        return Handled(Fate.STOP, str(problem))
    except RcoError as problem:
        if isinstance(problem, Refused) and problem.reason in (Reason.RATE_LIMIT, Reason.POLICY_BLOCKED):
            # A quota of the namespace: what was committed to the outbox waits there until there is room.
            return Handled(Fate.STOP, str(problem))
        handled = Handled(Fate.REFUSED, f"{problem.code}: {problem}")
    if handled.fate is Fate.REFUSED:
        desk.note(
            Decision(
                verb=Verb.DEAD_LETTER,
                at_us=desk.clock.now_us(),
                allow=False,
                actor=f"outbox:{outbox.name}",
                subject=entry.name[:200],
                reason=handled.cause.partition(":")[0],
                facts={"entry": entry.entry_id, "kind": entry.kind},
            )
        )
    return handled


async def _take(desk: Desk, outbox: Outbox, entry: Entry) -> Handled:
    if entry.body is None and entry.size_bytes:
        return Handled(
            Fate.REFUSED, f"too_large: the body is {entry.size_bytes} bytes; the limit is {outbox.body_limit_bytes}"
        )
    try:
        value = None if entry.body is None else msgspec.json.decode(entry.body)
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        return Handled(Fate.REFUSED, f"malformed: the body cannot be read: {problem}")
    corr_id = entry.corr_id if entry.corr_id and well_formed_corr_id(entry.corr_id) else entry.entry_id
    match entry.kind:
        case "start":
            return await _start(desk, outbox, entry, value, corr_id)
        case "signal":
            return await _signal(desk, outbox, entry, value)
        case _:
            return await _emit(desk, outbox, entry, corr_id)


def _allowed(outbox: Outbox, workflow: str) -> None:
    if workflow.startswith("rco.") or (outbox.workflows and workflow not in outbox.workflows):
        raise Forbidden(f"workflow {workflow!r} is not one of outbox {outbox.name!r}.", cure="See its workflows.")


async def _start(desk: Desk, outbox: Outbox, entry: Entry, value: Any, corr_id: str) -> Handled:
    _allowed(outbox, entry.name)
    grant_for = desk.clearance.outbox(outbox.name, outbox.namespace, entry.name, corr_id)
    started = await desk.engine.start_run(
        StartAsk(
            workflow=entry.name,
            input=value,
            key=entry.key if entry.key is not None else f"outbox:{outbox.name}:{entry.entry_id}",
            namespace=outbox.namespace,
            actor=f"outbox:{outbox.name}",
            corr_id=corr_id,
            grant_for=grant_for,
        )
    )
    return _ACCEPTED if started.created else _DUPLICATE


async def _signal(desk: Desk, outbox: Outbox, entry: Entry, value: Any) -> Handled:
    run_id = None
    if entry.run_id is not None:
        run_id = id_bytes(entry.run_id)
    elif entry.key is not None:
        run_id = await desk.reader.key_holder(outbox.namespace, entry.key)
    row = None if run_id is None else await desk.reader.run(run_id)
    if row is None or row.namespace != outbox.namespace:
        raise NotFound(f"no run {entry.run_id or f'under key {entry.key!r}'}.", cure="Start it first.")
    _allowed(outbox, row.workflow)
    message_id = entry.message_id or f"outbox:{entry.entry_id}"
    decision = Decision(
        verb=Verb.SIGNAL,
        at_us=desk.clock.now_us(),
        actor=f"outbox:{outbox.name}",
        subject=row.workflow,
        run=id_text(row.run_id),
        corr_id=row.corr_id,
        facts={"name": entry.name},
    )
    outcome = "closed"
    try:
        new = await desk.engine.signal(row.run_id, entry.name, value, message_id, decision, row.namespace)
        outcome = "accepted" if new else "duplicate"
    except NotFound:
        # Closed: perhaps by this very signal, in a life that could not tell the outbox any more.
        if not await _had(desk, row, message_id):
            raise
        outcome = "duplicate"
    except Overloaded as problem:
        return Handled(Fate.LATER, f"{problem.code}: {problem}")
    finally:
        desk.metrics.counter(signals.SIGNALS, outcome=outcome).add()
    return _ACCEPTED if outcome == "accepted" else _DUPLICATE


async def _had(desk: Desk, row: RunRow, message_id: str) -> bool:
    """Whether the message came to the run before: it took it, or left it unread."""
    if any(message.message_id == message_id for message in await desk.reader.messages(row.run_id)):
        return True
    for segment in await desk.reader.journal(row.run_id):
        for record in decode_segment(segment.data):
            if record.kind == Kind.MESSAGE and record.body[0] == message_id:
                return True
    return False


async def _emit(desk: Desk, outbox: Outbox, entry: Entry, corr_id: str) -> Handled:
    now = desk.clock.now_us()
    event = Event(
        id=entry.message_id or entry.entry_id,
        source=f"/outboxes/{outbox.name}",
        type=entry.name,
        data=(entry.body or "null").encode(),
        time_us=now,
        received_us=now,
        corr_id=corr_id,
        subject=entry.key,
        namespace=outbox.namespace,
        origin=f"outbox:{outbox.name}",
    )
    reference = await keep_data(desk, event) if len(event.data) > desk.engine.over_bytes else None
    opened, letters, more = openings(desk, event, event.origin, reference=reference)
    desk.engine.admit(len(opened))
    decision = Decision(
        verb=Verb.ACCEPT,
        at_us=now,
        actor=event.origin,
        subject=event.type,
        event=event.id,
        corr_id=corr_id,
        facts={"runs": len(opened), "entry": entry.entry_id},
    )
    claim = Claim(digest(f"outbox\0{outbox.name}\0{event.id}".encode()), corr_id, now + _CLAIMED_US)
    admission = admission_of(event, opened, letters, claim, [decision, *more], [], reference)
    admitted = await desk.engine.submit(0, admission, lambda outcome: begin_opened(desk, outcome, opened))
    if admitted.status == "duplicate":
        return _DUPLICATE
    desk.metrics.counter(signals.EVENTS, origin="outbox").add()
    return _ACCEPTED
