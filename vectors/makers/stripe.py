"""Signed by Stripe's own library."""

from __future__ import annotations

from typing import Any

from stripe import WebhookSignature

from makers.base import NOW_S, OTHER_KEY, TEXT_KEY, Headers, bad, case, good, resigned, unauth

KIND = "stripe"
SECRET, OTHER = f"whsec_{TEXT_KEY}", f"whsec_{OTHER_KEY}"
BODY = '{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","type":"invoice.paid","data":{"object":{"id":"in_1"}}}'


def _signed(at_s: int = NOW_S, body: str = BODY, secret: str = SECRET) -> Headers:
    return [
        ["stripe-signature", WebhookSignature.generate_signature_header(payload=body, secret=secret, timestamp=at_s)]
    ]


def cases() -> list[dict[str, Any]]:
    right = _signed()[0][1]
    stamp, digest = right.split(",")
    wrong = _signed(secret=OTHER)[0][1].split(",")[1].removeprefix("v1=")
    expected = {
        "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "type": "invoice.paid",
        "time_us": NOW_S * 1_000_000,
        "secret_id": "main",
    }

    def with_signature(text: str) -> Headers:
        return [["stripe-signature", text]]

    def malformed(name: str, text: str) -> dict[str, Any]:
        return unauth(name, with_signature(text), BODY, "sig_malformed")

    return [
        case(
            "stripe",
            KIND,
            secret=SECRET,
            other=OTHER,
            signature_header="stripe-signature",
            signed_headers=["stripe-signature"],
            good=[
                resigned(good("signed", _signed(), BODY, expected)),
                resigned(
                    good("while a secret is rolled", with_signature(f"{stamp},v1={wrong},{digest}"), BODY, expected),
                    beside=wrong,
                ),
                good("beside a v0", with_signature(f"{right},v0={'0' * 64}"), BODY, expected)
                | {"sign": {"secret": "main", "offset_s": 0}},
                resigned(
                    good(
                        "300 s old",
                        _signed(NOW_S - 300),
                        BODY,
                        {**expected, "time_us": (NOW_S - 300) * 1_000_000},
                    ),
                    offset_s=-290,
                ),
                resigned(
                    good("no id", _signed(body='{"type":"ping"}'), '{"type":"ping"}', {"type": "ping"}),
                ),
            ],
            bad=[
                unauth("no headers at all", [], BODY, "sig_missing"),
                unauth("another secret", _signed(secret=OTHER), BODY, "sig_mismatch"),
                unauth("another body", _signed(), BODY.replace("in_1", "in_2"), "sig_mismatch"),
                unauth(
                    "the key behind whsec_ instead of the text",
                    _signed(secret=TEXT_KEY),
                    BODY,
                    "sig_mismatch",
                ),
                malformed("no time", digest),
                malformed("two times", f"t={NOW_S - 1},{right}"),
                malformed("no v1", stamp),
                malformed("only v0", f"{stamp},v0={digest[3:]}"),
                malformed("v1 empty", f"{stamp},v1="),
                malformed("upper case", f"{stamp},v1={digest[3:].upper()}"),
                malformed("a space", f"{stamp}, {digest} "[:-1].replace(digest, digest + " ")),
                malformed("nine signatures", f"{stamp}," + ",".join([digest] * 9)),
                malformed("2 KiB of signature", f"{stamp},v1={'0' * 2048}"),
                *(
                    unauth(f"time {text!r}", with_signature(f"t={text},{digest}"), BODY, "ts_malformed")
                    for text in ("", "1e9", "nan", "-1", "1790000000.0", "+1790000000")
                ),
                resigned(
                    bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301
                ),
                resigned(bad("31 s ahead", _signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"), offset_s=40),
                bad("signature twice", [*_signed(), *_signed()], BODY, "MALFORMED", 400, "header_repeated"),
                resigned(bad("not an object", _signed(body="[]"), "[]", "MALFORMED", 400, "json_not_object")),
            ],
        )
    ]
