"""Signed with ``cryptography`` (RFC 6979), verified by SendGrid's own library."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sendgrid.helpers.eventwebhook import EventWebhook

from makers.base import NOW_S, Headers, bad, case, good, resigned, unauth

KIND = "sendgrid"
BODY = '[{"email":"hello@example.com","event":"dropped","sg_event_id":"ZHJvcC0x"}]\r\n'
KEYS = {"main": ec.derive_private_key(20260921, ec.SECP256R1()), "other": ec.derive_private_key(7, ec.SECP256R1())}
PREFIX = "x-twilio-email-event-webhook-"


def _public(which: str) -> str:
    raw = KEYS[which].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


def _private(which: str) -> str:
    return KEYS[which].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _signed(at_s: int = NOW_S, body: str = BODY, which: str = "main") -> Headers:
    raw = KEYS[which].sign(f"{at_s}{body}".encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    text = base64.b64encode(raw).decode()
    assert EventWebhook(_public(which)).verify_signature(body, text, str(at_s))
    return [[f"{PREFIX}signature", text], [f"{PREFIX}timestamp", str(at_s)]]


def cases() -> list[dict[str, Any]]:
    right = _signed()[0][1]

    def with_signature(text: str) -> Headers:
        return [[f"{PREFIX}signature", text], _signed()[1]]

    return [
        case(
            "sendgrid",
            KIND,
            secret=_public("main"),
            other=_public("other"),
            signing_keys={"main": _private("main"), "other": _private("other")},
            signature_header=f"{PREFIX}signature",
            signed_headers=[f"{PREFIX}signature", f"{PREFIX}timestamp"],
            good=[
                resigned(
                    good(
                        "a batch that ends in a line end",
                        _signed(),
                        BODY,
                        {"type": "sendgrid.events", "time_us": NOW_S * 1_000_000, "secret_id": "main"},
                    )
                ),
                resigned(good("an empty batch", _signed(body="[]"), "[]", {"type": "sendgrid.events"})),
            ],
            bad=[
                unauth("no headers at all", [], BODY, "sig_missing"),
                unauth("no time", _signed()[:1], BODY, "sig_missing"),
                unauth("another key", _signed(which="other"), BODY, "sig_mismatch"),
                unauth("without the line end", _signed(), BODY.strip(), "sig_mismatch"),
                unauth("not DER", with_signature(base64.b64encode(bytes(64)).decode()), BODY, "sig_mismatch"),
                unauth("no padding", with_signature(right[:-1]), BODY, "sig_malformed"),
                unauth("junk", with_signature("not base64"), BODY, "sig_malformed"),
                unauth("too long", with_signature("A" * 104), BODY, "sig_malformed"),
                resigned(
                    bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301
                ),
                resigned(bad("31 s ahead", _signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"), offset_s=40),
                bad("signature twice", [*_signed(), _signed()[0]], BODY, "MALFORMED", 400, "header_repeated"),
                resigned(bad("not JSON", _signed(body="a"), "a", "MALFORMED", 400, "json_invalid")),
            ],
        )
    ]
