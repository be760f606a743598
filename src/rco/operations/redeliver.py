"""Redeliver: route an accepted event again, or a dead letter once its cause is cured."""

from __future__ import annotations

from rco.errors import Conflict, NotFound
from rco.kit.digest import digest, length_prefixed
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.principal import Principal, Role
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.inspect_letters import find_letter
from rco.operations.receive import admission_of, begin_opened, keep_data, openings
from rco.store.contract.changes import Admitted, Claim
from rco.telemetry import signals

__all__ = ["claim_of", "dealt_with", "redeliver_event", "redeliver_letter", "waiting_letter"]

FOREVER_US = 1 << 62


def claim_of(letter: DeadLetter) -> Claim:
    """Two people who deal with the same letter at the same moment do it once."""
    return Claim(digest(length_prefixed(b"letter", letter.letter_id)), letter.event.corr_id, FOREVER_US)


async def waiting_letter(desk: Desk, principal: Principal, letter_id: bytes) -> DeadLetter:
    """The letter, for who is to deal with it. Needs the operator's role. Raises ``NotFound``, and ``Conflict`` when it
    waits no more."""
    require(principal, Role.OPERATOR)
    letter = await find_letter(desk, principal, letter_id)
    if letter.replayed_us is not None:
        raise dealt_with(letter_id)
    return letter


def dealt_with(letter_id: bytes) -> Conflict:
    """Somebody was faster."""
    return Conflict(
        f"dead letter {id_text(letter_id)} was already replayed or dismissed.", cure="Nothing is left to do."
    )


async def redeliver_event(desk: Desk, principal: Principal, event_id: str) -> int:
    """Start again every run that the event starts; returns how many. Needs the operator's role.

    Each call starts new runs, except for subscriptions with a key of their own. Raises ``NotFound``.
    """
    require(principal, Role.OPERATOR)
    event = await desk.reader.event(principal.namespace, event_id)
    if event is None:
        raise NotFound(f"no event {event_id!r}.", cure="See `rco events list`.")
    return await _redeliver(desk, principal, event, None)


async def redeliver_letter(desk: Desk, principal: Principal, letter_id: bytes) -> int:
    """Deliver a dead letter to the subscription that could not take it. Needs the operator's role.

    A letter is replayed once; ``Conflict`` when it was, or when its cause is still there. Raises ``NotFound``.
    """
    letter = await waiting_letter(desk, principal, letter_id)
    return await _redeliver(desk, principal, letter.event, letter)


async def _redeliver(desk: Desk, principal: Principal, event: Event, letter: DeadLetter | None) -> int:
    subscription = None if letter is None else letter.subscription
    actor = f"principal:{principal.principal_id}"
    reference = await keep_data(desk, event) if len(event.data) > desk.engine.over_bytes else None
    opened, letters, more = openings(desk, event, actor, only=subscription, reference=reference)
    if letters:
        raise Conflict(f"still not deliverable: {letters[0].cause}", cure="Cure the cause, then replay again.")
    if more and await desk.reader.event(event.namespace, event.id, event.source) is None:
        raise Conflict("the event itself is gone, so it cannot be published.", cure="Keep events longer than letters.")
    desk.engine.admit(len(opened))
    now = desk.clock.now_us()
    decision = Decision(
        verb=Verb.REPLAY,
        at_us=now,
        actor=actor,
        subject=subscription or event.type,
        event=event.id,
        corr_id=event.corr_id,
        facts={"runs": len(opened), "letter": "" if letter is None else id_text(letter.letter_id)},
    )
    claim = None
    if letter is not None:
        claim = claim_of(letter)
        desk.writer.changes(0).letters_replayed.append((letter.letter_id, now))
    admission = admission_of(None, opened, [], claim, [decision, *more], [])

    def begin(outcome: Admitted) -> None:
        begin_opened(desk, outcome, opened)

    admitted = await desk.engine.submit(0, admission, begin)
    if letter is not None and admitted.status == "accepted":
        desk.metrics.counter(signals.LETTERS_REPLAYED).add()
    return len(opened) - len(admitted.skipped) if admitted.status == "accepted" else 0
