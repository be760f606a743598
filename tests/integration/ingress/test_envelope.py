"""The one shape of every answer that is not a success."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rco.errors import Reason, Refused
from rco.server.envelope import send_refusal, sentence

CORR = "corr-0001"


async def sent(refused: Refused, **how: Any) -> tuple[int, dict[bytes, bytes], bytes]:
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await send_refusal(send, refused, CORR, **how)
    start, body = messages
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_has_its_answer(reason: Reason) -> None:
    status, headers, body = await sent(Refused(reason, "some_detail"))
    assert status == reason.status
    # No webhook is refused with it: senders take it as the end of the endpoint.
    assert (status == 410) is (reason is Reason.ERASED)
    assert json.loads(body) == {"error": sentence(reason), "reason": reason.word, "corr_id": CORR}
    assert b"some_detail" not in body
    assert headers[b"x-corr-id"] == CORR.encode()
    retryable = {"RATE_LIMIT", "BACKPRESSURE", "DOWNSTREAM_UNAVAILABLE"}
    assert (b"retry-after" in headers) is (reason.word in retryable)
    assert (b"connection" in headers) is (reason.word in {"BODY_LIMIT", "TIMEOUT", "HEADER_LIMIT"})


async def test_no_two_reasons_share_a_sentence() -> None:
    assert len({sentence(reason) for reason in Reason}) == len(Reason)


@pytest.mark.parametrize(("wait_s", "said"), [(None, b"1"), (0.0, b"1"), (1.2, b"2"), (1e12, b"3600"), (-5.0, b"1")])
async def test_retry_after_is_whole_seconds_within_bounds(wait_s: float | None, said: bytes) -> None:
    _, headers, _ = await sent(Refused(Reason.BACKPRESSURE, "x", retry_after_s=wait_s))
    assert headers[b"retry-after"] == said


async def test_status_and_allow_and_close_as_asked() -> None:
    status, headers, _ = await sent(Refused(Reason.UNAUTH, "x", status=403), allow=b"POST", close=True)
    assert (status, headers[b"allow"], headers[b"connection"]) == (403, b"POST", b"close")
