"""The one shape of every answer that is not a success: ``{error, reason, corr_id}``.

The caller reads one opaque sentence for each reason; what exactly was wrong is in the audit and the log, because a
sender who is told may be the one who tries.
"""

from __future__ import annotations

import math

from rco.errors import Overloaded, Reason, Refused, StoreError
from rco.server.framing import Send

__all__ = ["CORR_ID", "JSON", "refusal_of", "send_json", "send_plain", "send_refusal", "sentence"]

CORR_ID = b"x-corr-id"
JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")

_SENTENCES: dict[Reason, str] = {
    Reason.UNAUTH: "The request could not be authenticated.",
    Reason.EXPIRED_TOKEN: "The token is outside of its time.",
    Reason.SCOPE_MISMATCH: "The token does not allow this.",
    Reason.POLICY_BLOCKED: "A policy refuses this request.",
    Reason.BAD_ORIGIN: "The request comes from an origin that is not allowed.",
    Reason.MALFORMED: "The request is malformed.",
    Reason.DECOMP_LIMIT: "The body expands beyond what is allowed.",
    Reason.BODY_LIMIT: "The body is too large.",
    Reason.RATE_LIMIT: "Too many requests; try again later.",
    Reason.BACKPRESSURE: "The service is at its limit; try again later.",
    Reason.DOWNSTREAM_UNAVAILABLE: "Something this service needs is away; try again later.",
    Reason.NOT_FOUND: "There is nothing here.",
    Reason.ERASED: "This was erased with the key of its namespace, for good.",
    Reason.METHOD: "This method is not allowed here.",
    Reason.TIMEOUT: "The request took too long to arrive.",
    Reason.CONFLICT: "The request contradicts what is already recorded.",
    Reason.MEDIA_TYPE: "The content type or encoding is not accepted here.",
    Reason.HEADER_LIMIT: "The headers are too many or too large.",
    Reason.INTERNAL: "The service could not do this.",
}
_RETRYABLE = frozenset((Reason.RATE_LIMIT, Reason.BACKPRESSURE, Reason.DOWNSTREAM_UNAVAILABLE))
RETRY_AFTER_CAP_S = 3600
# After these the rest of the request may still be on the wire; the connection cannot be used for another.
_CLOSING = frozenset((Reason.BODY_LIMIT, Reason.TIMEOUT, Reason.HEADER_LIMIT))


def sentence(reason: Reason) -> str:
    """What the caller reads."""
    return _SENTENCES[reason]


def refusal_of(error: Exception) -> Refused:
    """What the caller is told of any error. Never 410: senders of webhooks take it as the end of the endpoint."""
    match error:
        case Refused():
            return error
        case Overloaded():
            return Refused(Reason.BACKPRESSURE, "overloaded", retry_after_s=error.retry_after_s)
        case StoreError():
            return Refused(Reason.DOWNSTREAM_UNAVAILABLE, error.code, retry_after_s=1.0)
        case _:
            return Refused(Reason.INTERNAL, "internal")


async def send_json(
    send: Send, status: int, body: bytes, corr_id: str, extra: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send one JSON answer with its correlation id. ``body`` is the encoded JSON, ``extra`` more headers."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [JSON, (CORR_ID, corr_id.encode()), *extra]}
    )
    await send({"type": "http.response.body", "body": body})


async def send_plain(send: Send, status: int, body: bytes, content_type: str, corr_id: str) -> None:
    """Send an answer that somebody else's protocol asks for, with our correlation id."""
    headers = [(CORR_ID, corr_id.encode())]
    if body:
        headers.insert(0, (b"content-type", content_type.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refused: Refused, corr_id: str, *, allow: bytes = b"", close: bool = False) -> None:
    """Send the envelope of ``refused``.

    Retryable reasons carry ``Retry-After`` in whole seconds, 1 to 3600. ``allow`` is the list of methods for a 405
    (RFC 9110 section 15.5.6). ``close`` ends the connection, as do reasons that leave a body unread.
    """
    reason = refused.reason
    extra: list[tuple[bytes, bytes]] = []
    if reason in _RETRYABLE or refused.retry_after_s is not None:
        wait_s = min(RETRY_AFTER_CAP_S, max(1, math.ceil(refused.retry_after_s or 0)))
        extra.append((b"retry-after", b"%d" % wait_s))
    if allow:
        extra.append((b"allow", allow))
    if close or reason in _CLOSING:
        extra.append(_CLOSE)
    # Neither part can hold what JSON would have to escape: the sentence is ours, the id of a closed alphabet.
    body = f'{{"error":"{_SENTENCES[reason]}","reason":"{reason.word}","corr_id":"{corr_id}"}}'.encode()
    await send_json(send, refused.status, body, corr_id, tuple(extra))
