"""The providers' own libraries sign and verify what we verify."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

import msgspec
import pytest
from githubkit.webhooks import sign as github_sign
from githubkit.webhooks import verify as github_verify
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from rco.errors import Refused

KEY = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(KEY).decode()


def standard_request(secret: str, message_id: str, at: datetime, body: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", str(int(at.timestamp())).encode()),
        (b"webhook-signature", Webhook(secret).sign(message_id, at, body).encode()),
    ]


def test_a_request_signed_now_is_accepted_by_both(named, build) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    body = '{"type":"user.created","name":"Zoë 🦊"}'
    headers = standard_request(WHSEC, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", now, body)
    Webhook(WHSEC).verify(body, {name.decode(): value.decode() for name, value in headers})
    delivery = build(named("acme")).verify(headers, body.encode(), int(now.timestamp() * 1e6), "corr-0001")
    assert delivery.event.type == "user.created"


def test_what_the_library_refuses_we_refuse(named, build) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    body = '{"type":"user.created"}'
    headers = standard_request(WHSEC, "msg_1", now, body)
    with pytest.raises(WebhookVerificationError):
        Webhook(WHSEC).verify(body + " ", {name.decode(): value.decode() for name, value in headers})
    with pytest.raises(Refused):
        build(named("acme")).verify(headers, body.encode() + b" ", int(now.timestamp() * 1e6), "corr-0001")


@pytest.mark.parametrize("size", [24, 32, 64])
def test_keys_of_the_allowed_sizes(named, build, size) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    at = datetime.fromtimestamp(1_790_000_000, UTC)
    body = '{"type":"a"}'
    headers = standard_request(secret, "msg_1", at, body)
    for text in (secret, secret.rstrip("=")):
        verifier = build(named("acme"), secrets={"env:MAIN": text})
        assert verifier.verify(headers, body.encode(), 1_790_000_000_000_000, "corr-0001").event.type == "a"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_any_text_signed_by_github_s_library(named, build, text) -> None:
    body = msgspec.json.encode({"text": text})
    secret = "correct horse battery staple"
    signature = github_sign(secret, body, "sha256")
    assert github_verify(secret, body, signature)
    headers = [(b"x-hub-signature-256", signature.encode()), (b"x-github-event", b"push")]
    assert build(named("github")).verify(headers, body, 1, "corr-0001").event.data == body


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("key_encoding", ["raw", "hex", "base64"])
def test_every_way_to_write_an_hmac(named, build, algorithm, encoding, key_encoding) -> None:
    body = b'{"type":"a"}'
    written = {"raw": KEY.decode("latin-1"), "hex": KEY.hex(), "base64": base64.b64encode(KEY).decode()}
    scheme = {"signature_header": "X-S", "algorithm": algorithm, "encoding": encoding, "key_encoding": key_encoding}
    digest = hmac.new(KEY, body, algorithm).digest()
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    verifier = build(named("plain"), secrets={"env:MAIN": written[key_encoding]}, scheme=scheme)
    delivery = verifier.verify([(b"x-s", text.encode())], body, 1, "corr-0001")
    assert delivery.sig_alg == f"hmac:hmac-{algorithm}"


def test_milliseconds_are_not_seconds(named, build) -> None:
    body = b'{"type":"a"}'
    stamp = b"1790000000000"
    digest = hmac.new(KEY, b"m." + stamp + b"." + body, "sha256").digest()
    headers = [
        (b"webhook-id", b"m"),
        (b"webhook-timestamp", stamp),
        (b"webhook-signature", b"v1," + base64.b64encode(digest)),
    ]
    with pytest.raises(Refused) as caught:
        build(named("acme")).verify(headers, body, 1_790_000_000_000_000, "corr-0001")
    assert caught.value.detail == "ts_future"
