"""Whatever the headers and the body: a delivery or a refusal, and never a delivery for what was not signed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rco.bridge.contract import Handshake
from rco.errors import Reason, Refused
from rco.kit.digest import content_address
from rco.server.framing import read_head

NAMES = [
    b"webhook-id",
    b"webhook-timestamp",
    b"webhook-signature",
    b"svix-id",
    b"svix-timestamp",
    b"svix-signature",
    b"x-hub-signature-256",
    b"x-hub-signature",
    b"x-github-event",
    b"x-github-delivery",
    b"x-signature",
    b"x-sig",
    b"x-id",
    b"x-time",
    b"x-kind",
    b"x-slack-signature",
    b"stripe-signature",
    b"x-shopify-hmac-sha256",
    b"x-shopify-topic",
    b"x-gitlab-token",
    b"x-signature-ed25519",
    b"x-signature-timestamp",
    b"x-twilio-email-event-webhook-signature",
    b"x-twilio-email-event-webhook-timestamp",
    b"x-twilio-signature",
    b"x-twilio-webhooks-signature-settings",
    b"x-amz-sns-message-type",
    b"paypal-transmission-id",
    b"paypal-transmission-time",
    b"paypal-transmission-sig",
    b"paypal-cert-url",
    b"paypal-auth-algo",
    b"signature-input",
    b"signature",
    b"content-digest",
    b"x-slack-request-timestamp",
    b"traceparent",
    b"host",
    b"content-length",
    b"content-type",
    b"transfer-encoding",
    b"x-corr-id",
]
DIGESTS = st.binary(min_size=32, max_size=32)
VALUES = (
    st.binary(max_size=80)
    | st.sampled_from([b"msg_1", b"1790000000", b"push", b"", b"v1,", b"sha256=", b"v0=", b" ", b",", b"."])
    | DIGESTS.map(lambda raw: b"v1," + base64.b64encode(raw))
    | DIGESTS.map(lambda raw: b"sha256=" + raw.hex().encode())
    | DIGESTS.map(lambda raw: b"v0=" + raw.hex().encode())
    | st.lists(DIGESTS.map(lambda raw: b"v1," + base64.b64encode(raw)), max_size=20).map(b" ".join)
    | st.sampled_from([b"t=1790000000,v1=" + b"0" * 64, b"key=a,algorithm=HMAC_SHA256", b"application/json"])
    | st.binary(min_size=64, max_size=64).map(lambda raw: raw.hex().encode())
    | st.binary(min_size=64, max_size=64).map(lambda raw: b"v1a," + base64.b64encode(raw))
    | st.binary(min_size=70, max_size=72).map(base64.b64encode)
    | st.just(b'sig1=("content-digest" "@authority");created=1790000000;keyid="main"')
    | st.integers(-10, 10**14).map(lambda number: str(number).encode())
)
BUILT: dict[str, Any] = {}


def built(build: Any, case: Any) -> Any:
    """The case's verifier, made once: opening keys costs more than refusing."""
    name = case["settings"]["name"]
    if name not in BUILT:
        BUILT[name] = build(case)
    return BUILT[name]


HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=14)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(headers=HEADERS, body=st.binary(max_size=60) | st.just(b'{"type":"a"}'))
def test_nothing_but_a_refusal_for_what_was_not_signed(all_cases, build, headers: Any, body: bytes) -> None:
    for case in all_cases:
        with pytest.raises(Refused) as caught:
            built(build, case).verify(headers, body, case["now_us"], "corr-0001")
        assert caught.value.reason in (Reason.UNAUTH, Reason.MALFORMED)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(data=st.data())
def test_one_changed_header_of_a_good_request(all_cases, build, delivery_in, data: Any) -> None:
    case = data.draw(st.sampled_from([case for case in all_cases if case["good"]]))
    good = data.draw(st.sampled_from(case["good"]))
    headers = [(name.encode(), value.encode()) for name, value in good["headers"]]
    at = data.draw(st.integers(0, len(headers) - 1))
    name, value = headers[at]
    headers[at] = (name, data.draw(VALUES | st.just(value)))
    try:
        found = built(build, case).verify(headers, good["body"].encode(), case["now_us"], "corr-0001")
    except Refused:
        return
    # Several texts may carry a good signature; what it covers is the same then.
    assert isinstance(found, Handshake) or delivery_in(found).b3 == content_address(good["body"].encode())
    covered = set(case["signed_headers"]) - {case["signature_header"]}
    signed = {pair for pair in headers if pair[0].decode() in covered}
    assert signed <= {(left.encode(), right.encode()) for left, right in good["headers"]}


@settings(deadline=None)
@given(headers=st.lists(st.tuples(st.sampled_from(NAMES) | st.binary(max_size=20), VALUES), max_size=80))
def test_reading_a_head_never_raises(headers: Any) -> None:
    head = read_head(headers)
    assert head.corr_id == "" or (head.corr_id.isascii() and head.corr_id.isprintable())
    assert head.length >= -1
    if head.fault is None:
        assert sum(name == b"host" for name, _ in headers) == 1
        assert len(headers) <= 64
