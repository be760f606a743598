"""Dismiss: a dead letter that nobody will take any more leaves the list, with a reason."""

from __future__ import annotations

from msgspec.structs import replace

from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal
from rco.model.wire_events import LetterView
from rco.operations.desk import Desk
from rco.operations.receive import admission_of
from rco.operations.redeliver import claim_of, dealt_with, waiting_letter
from rco.operations.view import letter_view
from rco.store.contract.changes import Admitted
from rco.telemetry import signals

__all__ = ["dismiss_letter"]


async def dismiss_letter(desk: Desk, principal: Principal, letter_id: bytes, reason: str) -> LetterView:
    """Take a dead letter off the list without giving it to anybody; durable when this returns. Needs the operator's
    role. It is listed with those that were sent again from then on, and cannot be replayed.

    Raises ``Conflict`` when it was replayed or dismissed before, also at the same moment, and ``NotFound``.
    """
    letter = await waiting_letter(desk, principal, letter_id)
    now = desk.clock.now_us()
    decision = Decision(
        verb=Verb.DISMISS,
        at_us=now,
        actor=f"principal:{principal.principal_id}",
        subject=letter.subscription,
        event=letter.event.id,
        corr_id=letter.event.corr_id,
        reason=reason,
        facts={"letter": id_text(letter_id)},
    )
    desk.writer.changes(0).letters_replayed.append((letter_id, now))
    admission = admission_of(None, [], [], claim_of(letter), [decision], [])
    admitted = await desk.engine.submit(0, admission, _nothing)
    if admitted.status != "accepted":
        raise dealt_with(letter_id)
    desk.metrics.counter(signals.LETTERS_DISMISSED).add()
    return letter_view(replace(letter, replayed_us=now))


def _nothing(_: Admitted) -> None:
    """Nothing begins."""
