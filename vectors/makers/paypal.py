"""Signed with ``cryptography`` and test certificates: nobody but PayPal has PayPal's key."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from makers.base import NOW_S, Headers, bad, case, good, resigned, unauth
from makers.certificates import certificate, private, private_text, root

KIND = "paypal"
WEBHOOK, OTHER_WEBHOOK = "8PT597110X687430LKGECATA", "1AB23456CD789012EFGHIJKL"
NAME = "messageverificationcerts.paypal.com"
BODY = '{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"C1"}}'
CERTS = "https://api.paypal.com/v1/notifications/certs/CERT-"
URL = f"{CERTS}360caa42"


def _signed(
    at_s: int = NOW_S,
    body: str = BODY,
    webhook: str = WEBHOOK,
    url: str = URL,
    key: str = "paypal",
    message_id: str = "7a2c1e00-0001",
) -> Headers:
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{message_id}|{stamp}|{webhook}|{zlib.crc32(body.encode())}"
    raw = private(key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return [
        ["paypal-transmission-id", message_id],
        ["paypal-transmission-time", stamp],
        ["paypal-cert-url", url],
        ["paypal-auth-algo", "SHA256withRSA"],
        ["paypal-transmission-sig", base64.b64encode(raw).decode()],
    ]


def _with(name: str, value: str) -> Headers:
    return [[header, value if header == name else old] for header, old in _signed()]


def cases() -> list[dict[str, Any]]:
    old = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    certificates = {
        URL: certificate(NAME, "paypal"),
        f"{CERTS}self-signed": certificate(NAME, "stranger", "stranger", NAME),
        f"{CERTS}other-name": certificate("evil.example", "stranger"),
        f"{CERTS}expired": certificate(NAME, "paypal", first=old[0], last=old[1]),
        f"{CERTS}junk": "not a certificate",
    }
    options = {"webhook_id": WEBHOOK, "cert_url": URL}

    def foreign(name: str, url: str) -> dict[str, Any]:
        return unauth(name, _signed(url=url), BODY, "cert_foreign")

    return [
        case(
            "paypal",
            KIND,
            secret=WEBHOOK,
            other=OTHER_WEBHOOK,
            signing_keys={"main": private_text("paypal"), "other": private_text("stranger")},
            signature_header="paypal-transmission-sig",
            signed_headers=["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig"],
            certificates=certificates,
            roots=[root()],
            good=[
                resigned(
                    good(
                        "signed",
                        _signed(),
                        BODY,
                        {
                            "id": "7a2c1e00-0001",
                            "type": "paypal.payment.capture.completed",
                            "time_us": NOW_S * 1_000_000,
                            "secret_id": "main",
                        },
                    ),
                    **options,
                ),
                resigned(
                    good(
                        "a retry after two days, which keeps its time",
                        _signed(NOW_S - 172_800, message_id="7a2c1e00-0002"),
                        BODY,
                        {"id": "7a2c1e00-0002"},
                    ),
                    offset_s=-172_800,
                    id="7a2c1e00-0002",
                    **options,
                ),
            ],
            bad=[
                unauth("no headers at all", [], BODY, "sig_missing"),
                unauth(
                    "no certificate", [pair for pair in _signed() if pair[0] != "paypal-cert-url"], BODY, "sig_missing"
                ),
                unauth("another webhook's", _signed(webhook=OTHER_WEBHOOK), BODY, "sig_mismatch"),
                unauth("another key", _signed(key="stranger"), BODY, "sig_mismatch"),
                unauth("another body", _signed(), BODY.replace("C1", "C2"), "sig_mismatch"),
                unauth("another id", _with("paypal-transmission-id", "7a2c1e00-0009"), BODY, "sig_mismatch"),
                unauth("another algorithm", _with("paypal-auth-algo", "SHA1withRSA"), BODY, "sig_malformed"),
                unauth("junk", _with("paypal-transmission-sig", "not base64!"), BODY, "sig_malformed"),
                unauth("a bar in the id", _with("paypal-transmission-id", "a|b"), BODY, "id_malformed"),
                *(
                    unauth(f"time {text!r}", _with("paypal-transmission-time", text), BODY, "ts_malformed")
                    for text in ("1790000000", "2026-09-21", "2026-09-21T14:13:20", "2026-13-41T14:13:20Z", "now")
                ),
                foreign("a certificate from elsewhere", "https://evil.example/v1/notifications/certs/CERT-360caa42"),
                foreign("a user in the address", URL.replace("https://", "https://api.paypal.com@evil.example/?")),
                foreign("the host as a subdomain", URL.replace("paypal.com", "paypal.com.evil.example")),
                foreign("http", URL.replace("https", "http")),
                foreign("a port", URL.replace("paypal.com", "paypal.com:8443")),
                foreign("the sandbox's", URL.replace("api.", "api.sandbox.")),
                foreign("a path that climbs", f"{CERTS}a/../../x"),
                unauth(
                    "a self-signed certificate",
                    _signed(url=f"{CERTS}self-signed", key="stranger"),
                    BODY,
                    "cert_refused",
                ),
                unauth(
                    "a certificate for somebody else",
                    _signed(url=f"{CERTS}other-name", key="stranger"),
                    BODY,
                    "cert_refused",
                ),
                unauth("an expired certificate", _signed(url=f"{CERTS}expired"), BODY, "cert_refused"),
                unauth("what is no certificate", _signed(url=f"{CERTS}junk"), BODY, "cert_refused"),
                unauth("a certificate that is not there", _signed(url=f"{CERTS}absent"), BODY, "cert_refused"),
                resigned(
                    bad("beyond the retries", _signed(NOW_S - 345_601), BODY, "POLICY_BLOCKED", 403, "ts_stale"),
                    offset_s=-345_700,
                    **options,
                ),
                resigned(
                    bad("31 s ahead", _signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"),
                    offset_s=40,
                    **options,
                ),
                bad("signature twice", [*_signed(), _signed()[4]], BODY, "MALFORMED", 400, "header_repeated"),
            ],
        )
    ]
