"""The event that a verified request becomes."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest

from rco.errors import Reason, Refused
from rco.kit.digest import content_address

NOW_US = 1_790_000_000_000_000
KEY = bytes(range(32))
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sent(body: bytes, *more: tuple[bytes, bytes], message_id: bytes = b"msg_1") -> list[tuple[bytes, bytes]]:
    digest = hmac.new(KEY, message_id + b".1790000000." + body, "sha256").digest()
    return [
        (b"webhook-id", message_id),
        (b"webhook-timestamp", b"1790000000"),
        (b"webhook-signature", b"v1," + base64.b64encode(digest)),
        *more,
    ]


def hub(body: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    digest = hmac.new(b"correct horse battery staple", body, "sha256").hexdigest()
    return [(b"x-hub-signature-256", f"sha256={digest}".encode()), *more]


def refusal(verifier: Any, headers: Any, body: bytes) -> tuple[Reason, str]:
    with pytest.raises(Refused) as caught:
        verifier.verify(headers, body, NOW_US, "corr-0001")
    return caught.value.reason, caught.value.detail


def test_source_type_and_namespace_come_from_the_settings(named, build) -> None:
    body = b'{"kind":"paid","type":"other"}'
    event = build(named("acme")).verify(sent(body), body, NOW_US, "corr-0001").event
    assert (event.source, event.type, event.namespace) == ("/webhooks/acme", "other", "default")
    changed = build(named("acme"), source="urn:acme", type_field="kind", namespace="shop")
    event = changed.verify(sent(body), body, NOW_US, "corr-0001").event
    assert (event.source, event.type, event.namespace) == ("urn:acme", "paid", "shop")
    assert build(named("acme"), type="fixed").verify(sent(b"{}"), b"{}", NOW_US, "c").event.type == "fixed"


def test_what_is_known_of_the_data_is_of_the_data_and_not_of_what_came(named, build) -> None:
    body, packed = b'{"type":"paid"}', b"packed"
    held = build(named("acme")).verify(sent(body), body, NOW_US, "corr-0001")
    assert (held.b3, held.data_b3, held.value) == (content_address(body), content_address(body), {"type": "paid"})
    found = build(named("acme")).verify(sent(packed), packed, NOW_US, "corr-0001", lambda _: body)
    assert (found.b3, found.data_b3, found.value) == (content_address(packed), "", {"type": "paid"})


@pytest.mark.parametrize("value", ['""', "null", "[]", '"' + "a" * 257 + '"', '"a\\nb"', "true"])
def test_a_type_that_is_none(named, build, value) -> None:
    body = b'{"type":' + value.encode() + b"}"
    assert refusal(build(named("acme")), sent(body), body)[0] is Reason.MALFORMED


@pytest.mark.parametrize(
    ("found", "subject"),
    [("order-7", "order-7"), (42, "42"), (None, None), ("Zoë", "Zoë")],
)
def test_the_subject_is_what_the_expression_gives(named, build, found, subject) -> None:
    seen: list[Any] = []

    def compile_expression(text: str) -> Any:
        assert text == ".data.order"
        return lambda data: seen.append(data) or found

    verifier = build(named("acme"), subject=".data.order", compile_expression=compile_expression)
    body = b'{"type":"a"}'
    assert verifier.verify(sent(body), body, NOW_US, "corr-0001").event.subject == subject
    assert seen == [{"type": "a"}]


@pytest.mark.parametrize("found", ["", "a" * 257, True, 1.5, [], {}, "a\nb", ValueError("cannot iterate")])
def test_a_subject_that_is_none_is_told_to_the_sender(named, build, found) -> None:
    def evaluate(_: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    verifier = build(named("acme"), subject=".x", compile_expression=lambda _: evaluate)
    body = b'{"type":"a"}'
    detail = "subject_failed" if isinstance(found, Exception) else "subject_malformed"
    assert refusal(verifier, sent(body), body) == (Reason.MALFORMED, detail)


def test_the_claim_follows_the_signed_identity_not_the_time_or_the_body(named, build) -> None:
    verifier = build(named("acme"))
    one, other = b'{"type":"a"}', b'{"type":"b"}'
    claims = {verifier.verify(sent(body), body, NOW_US, "c").claim for body in (one, other)}
    assert len(claims) == 1
    another_id = sent(one, message_id=b"msg_2")
    assert verifier.verify(another_id, one, NOW_US, "c").claim not in claims


def test_github_s_delivery_header_is_not_trusted_to_tell_deliveries_apart(named, build) -> None:
    verifier, body = build(named("github")), b'{"a":1}'
    uuid = b"72d3162e-cc78-11e3-81ab-4c9367dc0958"
    event = (b"x-github-event", b"push")
    kept = verifier.verify(hub(body, event, (b"x-github-delivery", uuid)), body, NOW_US, "c")
    edited = verifier.verify(hub(body, event, (b"x-github-delivery", uuid[:-1] + b"9")), body, NOW_US, "c")
    assert kept.claim == edited.claim
    assert kept.event.id == uuid.decode()
    for junk in (b"", b"1", b"x" * 36, uuid[:-1] + b"\xff", uuid.replace(b"-", b"0"), b"{" + uuid[1:]):
        made = verifier.verify(hub(body, event, (b"x-github-delivery", junk)), body, NOW_US, "c")
        assert made.event.id == kept.claim.hex()


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (b'{"action":"opened"}', "github.push.opened"),
        (b'{"action":1}', "github.push"),
        (b'{"action":""}', "github.push"),
        (b'{"action":"a\\nb"}', "github.push"),
        (b'{"action":{"a":1}}', "github.push"),
    ],
)
def test_github_s_type(named, build, body, type) -> None:
    headers = hub(body, (b"x-github-event", b"push"))
    assert build(named("github")).verify(headers, body, NOW_US, "c").event.type == type


@pytest.mark.parametrize(
    ("values", "trace"),
    [
        ([TRACE], TRACE.decode()),
        ([], ""),
        ([TRACE, TRACE], ""),
        ([TRACE[:-1]], ""),
        ([TRACE + b"0"], ""),
        ([TRACE.upper()], ""),
        ([b"ff" + TRACE[2:]], ""),
        ([TRACE.replace(b"b7ad6b7169203331", b"0" * 16)], ""),
        ([b"00-" + b"0" * 32 + TRACE[35:]], ""),
        ([TRACE.replace(b"-", b"_")], ""),
        ([b"\xff" * 55], ""),
        ([b" " + TRACE], ""),
    ],
)
def test_a_trace_is_carried_only_when_it_is_exactly_one(named, build, values, trace) -> None:
    body = b'{"type":"a"}'
    headers = sent(body, *((b"traceparent", value) for value in values))
    assert build(named("acme")).verify(headers, body, NOW_US, "c").event.trace == trace


def test_an_identity_may_not_hold_the_template_s_punctuation(named, build) -> None:
    """Else bytes could be moved from one part of the signed text to the next: another identity, same signature."""
    verifier = build(named("timed"))
    key = bytes(range(32))
    body = b'{"n":1}'
    digest = base64.b64encode(hmac.new(key, b"evt.1.1790000000." + body, "sha256").digest())
    headers = [(b"x-id", b"evt.1"), (b"x-time", b"1790000000"), (b"x-sig", b"v1," + digest), (b"x-kind", b"a")]
    assert refusal(verifier, headers, body) == (Reason.UNAUTH, "id_malformed")
