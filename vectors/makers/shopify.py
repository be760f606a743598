"""HMAC by the standard library, as no library from PyPI signs like Shopify. ``make test-npm`` asks Shopify's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from makers.base import DELIVERY, NOW_S, OTHER_KEY, TEXT_KEY, Headers, bad, case, good, unauth

KIND = "shopify"
BODY = '{"id":820982911946154508,"email":"jon@example.com","total_price":"403.00"}'


def _signed(body: str = BODY, secret: str = TEXT_KEY, topic: str = "orders/create") -> Headers:
    digest = hmac.digest(secret.encode(), body.encode(), hashlib.sha256)
    return [
        ["x-shopify-topic", topic],
        ["x-shopify-webhook-id", DELIVERY],
        ["x-shopify-hmac-sha256", base64.b64encode(digest).decode()],
    ]


def cases() -> list[dict[str, Any]]:
    right = _signed()[2][1]

    def with_signature(text: str) -> Headers:
        return [*_signed()[:2], ["x-shopify-hmac-sha256", text]]

    return [
        case(
            "shopify",
            KIND,
            secret=TEXT_KEY,
            other=OTHER_KEY,
            signature_header="x-shopify-hmac-sha256",
            signed_headers=["x-shopify-hmac-sha256"],
            good=[
                good(
                    "signed",
                    _signed(),
                    BODY,
                    {
                        "id": DELIVERY,
                        "type": "shopify.orders.create",
                        "time_us": NOW_S * 1_000_000,
                        "secret_id": "main",
                    },
                ),
                good("an array", _signed('[{"id":1}]'), '[{"id":1}]', {"type": "shopify.orders.create"}),
            ],
            bad=[
                unauth("no signature", _signed()[:2], BODY, "sig_missing"),
                unauth("another secret", _signed(secret=OTHER_KEY), BODY, "sig_mismatch"),
                unauth("another body", _signed(), BODY.replace("403", "404"), "sig_mismatch"),
                unauth("empty", with_signature(""), BODY, "sig_missing"),
                unauth("no padding", with_signature(right.rstrip("=")), BODY, "sig_malformed"),
                unauth("hexadecimal", with_signature(base64.b64decode(right).hex()), BODY, "sig_malformed"),
                unauth("SHA-1", with_signature(base64.b64encode(bytes(20)).decode()), BODY, "sig_malformed"),
                bad("signature twice", [*_signed(), _signed()[2]], BODY, "MALFORMED", 400, "header_repeated"),
                bad("no topic", _signed()[1:], BODY, "MALFORMED", 400, "type_missing"),
                bad("a topic with a space", _signed(topic="orders create"), BODY, "MALFORMED", 400, "type_malformed"),
                bad("not JSON", _signed("a=b"), "a=b", "MALFORMED", 400, "json_invalid"),
            ],
        )
    ]
