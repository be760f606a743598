"""What a verified request may ask for besides being accepted: an answer of its own, or a handshake that is no event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rco.bridge.contract import Answered, Errand, Handshake, Reply
from rco.errors import Reason, Refused
from rco.model.decision import Decision, Verb
from rco.model.delivery import Delivery, Receipt

__all__ = ["settle"]


async def settle(
    found: Delivery | Answered | Handshake | Errand,
    *,
    accept: Callable[[Delivery], Awaitable[Receipt]],
    note: Callable[[Decision], None],
    provider: str,
    corr_id: str,
    now_us: int,
) -> tuple[Receipt, Reply | None]:
    """The receipt, and the answer that the sender expects in place of ours.

    A handshake's errand comes before its answer: a sender must not hear yes to what did not happen. Raises what
    ``accept`` and the errand raise; ``Refused`` when a verifier asks for the same thing again.
    """
    match found:
        case Delivery():
            return await accept(found), None
        case Answered():
            return await accept(found.delivery), found.reply
        case Handshake():
            if found.errand is not None:
                await found.errand.run()
            note(
                Decision(
                    verb=Verb.HANDSHAKE,
                    at_us=now_us,
                    actor=f"provider:{provider}",
                    subject=provider,
                    corr_id=corr_id,
                    reason=found.name,
                    facts={"secret_id": found.secret_id, "status": found.reply.status},
                )
            )
            return Receipt(False, corr_id), found.reply
        case _:
            raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "errand_in_vain", retry_after_s=1.0)
