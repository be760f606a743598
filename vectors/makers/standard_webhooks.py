"""Signed by the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from nacl.signing import SigningKey
from standardwebhooks import Webhook

from makers.base import (
    BODY,
    NOW_S,
    OTHER_SEED,
    OTHER_WHSEC,
    SEED,
    WHSEC,
    Headers,
    bad,
    case,
    good,
    resigned,
    unauth,
)


def whsec_signature(secret: str, message_id: str, at_s: int, body: str) -> str:
    """As the reference library of Standard Webhooks signs."""
    return str(Webhook(secret).sign(message_id, datetime.fromtimestamp(at_s, UTC), body))


def standard_webhooks() -> dict[str, Any]:
    def signed(
        at_s: int = NOW_S, body: str = BODY, secret: str = WHSEC, prefix: str = "webhook", message_id: str = "msg_1"
    ) -> Headers:
        return [
            [f"{prefix}-id", message_id],
            [f"{prefix}-timestamp", str(at_s)],
            [f"{prefix}-signature", whsec_signature(secret, message_id, at_s, body)],
        ]

    def with_signature(text: str) -> Headers:
        return [*signed()[:2], ["webhook-signature", text]]

    right = signed()[2][1]
    digest = right.removeprefix("v1,")
    wrong = signed(secret=OTHER_WHSEC)[2][1]
    expected = {"id": "msg_1", "type": "invoice.paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"}
    return {
        "settings": {
            "name": "acme",
            "kind": "standard-webhooks",
            "secrets": [{"secret_id": "main", "ref": "env:MAIN"}],
        },
        "secrets": {"env:MAIN": WHSEC},
        "other_secret": OTHER_WHSEC,
        "now_us": NOW_S * 1_000_000,
        "signature_header": "webhook-signature",
        "signed_headers": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        "good": [
            resigned(good("signed", signed(), BODY, expected)),
            resigned(good("svix headers", signed(prefix="svix"), BODY, expected), prefix="svix"),
            resigned(
                good("second of two signatures", with_signature(f"{wrong} {right}"), BODY, expected), beside=wrong
            ),
            resigned(
                good("beside a version that is not known", with_signature(f"v1a,whatever {right}"), BODY, expected),
                beside="v1a,whatever",
            ),
            # Some seconds within the limits where it is signed anew: a live instance hears of it a little later.
            resigned(
                good("300 s old", signed(NOW_S - 300), BODY, {**expected, "time_us": (NOW_S - 300) * 1_000_000}),
                offset_s=-290,
            ),
            resigned(
                good("30 s ahead", signed(NOW_S + 30), BODY, {**expected, "time_us": (NOW_S + 30) * 1_000_000}),
                offset_s=29,
            ),
        ],
        "bad": [
            unauth("no headers at all", [], BODY, "sig_missing"),
            unauth("no signature", signed()[:2], BODY, "sig_missing"),
            unauth("no id", signed()[1:], BODY, "sig_missing"),
            unauth("no time", [signed()[0], signed()[2]], BODY, "sig_missing"),
            unauth("another secret", signed(secret=OTHER_WHSEC), BODY, "sig_mismatch"),
            unauth("another body", signed(), BODY.replace("4200", "4201"), "sig_mismatch"),
            unauth("another id", [["webhook-id", "msg_2"], *signed()[1:]], BODY, "sig_mismatch"),
            unauth(
                "another time", [signed()[0], ["webhook-timestamp", str(NOW_S + 1)], signed()[2]], BODY, "sig_mismatch"
            ),
            unauth("empty text after the version", with_signature("v1,"), BODY, "sig_malformed"),
            unauth("no comma", with_signature(digest), BODY, "sig_malformed"),
            unauth("two commas", with_signature(f"v1,,{digest}"), BODY, "sig_malformed"),
            unauth("no padding", with_signature(right.rstrip("=")), BODY, "sig_malformed"),
            unauth(
                "other text for the same bytes",
                with_signature(right[:-2] + chr(ord(right[-2]) + 1) + "="),
                BODY,
                "sig_mismatch",
            ),
            unauth("junk inside", with_signature(right[:10] + "\t" + right[11:]), BODY, "sig_malformed"),
            unauth("url-safe alphabet", with_signature("v1," + "-_" * 21 + "a="), BODY, "sig_malformed"),
            unauth("a version that is not known", with_signature(f"v1a,{digest}"), BODY, "sig_malformed"),
            unauth("v0", with_signature(f"v0,{digest}"), BODY, "sig_malformed"),
            unauth("17 signatures", with_signature(" ".join([wrong] * 16 + [right])), BODY, "sig_malformed"),
            unauth("2 KiB of signature", with_signature("v1," + "A" * 2048), BODY, "sig_malformed"),
            unauth("a dot in the id", [["webhook-id", "msg.1"], *signed()[1:]], BODY, "id_malformed"),
            unauth("a space in the id", [["webhook-id", "msg 1"], *signed()[1:]], BODY, "id_malformed"),
            *(
                unauth(f"time {text!r}", [signed()[0], ["webhook-timestamp", text], signed()[2]], BODY, "ts_malformed")
                for text in (
                    "1e9",
                    "nan",
                    "-1",
                    "1790000000.0",
                    " 1790000000",
                    "1_790_000_000",
                    "+1790000000",
                    "0x6ab1",
                )
            ),
            resigned(bad("301 s old", signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301),
            resigned(bad("31 s ahead", signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"), offset_s=40),
            bad("both sets of headers", [*signed(), *signed(prefix="svix")], BODY, "MALFORMED", 400, "sig_mixed"),
            bad(
                "one header of the other set",
                [*signed(), signed(prefix="svix")[0]],
                BODY,
                "MALFORMED",
                400,
                "sig_mixed",
            ),
            bad("signature twice", [*signed(), signed()[2]], BODY, "MALFORMED", 400, "header_repeated"),
            resigned(bad("no type", signed(body="{}"), "{}", "MALFORMED", 400, "type_missing")),
            resigned(
                bad("type is a number", signed(body='{"type":1}'), '{"type":1}', "MALFORMED", 400, "type_malformed")
            ),
            resigned(bad("not an object", signed(body="[]"), "[]", "MALFORMED", 400, "json_not_object")),
        ],
    }


def _v1a() -> dict[str, Any]:
    """No reference library has v1a; the signature is PyNaCl's."""

    def signed(seed: str = SEED, at_s: int = NOW_S, body: str = BODY, version: str = "v1a") -> Headers:
        raw = SigningKey(bytes.fromhex(seed)).sign(f"msg_1.{at_s}.{body}".encode()).signature
        return [
            ["webhook-id", "msg_1"],
            ["webhook-timestamp", str(at_s)],
            ["webhook-signature", f"{version},{base64.b64encode(raw).decode()}"],
        ]

    def with_signature(text: str) -> Headers:
        return [*signed()[:2], ["webhook-signature", text]]

    right = signed()[2][1]
    shared = whsec_signature(WHSEC, "msg_1", NOW_S, BODY)
    expected = {"id": "msg_1", "type": "invoice.paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"}
    return case(
        "acme-asymmetric",
        "standard-webhooks",
        secret=whpk(SEED),
        other=whpk(OTHER_SEED),
        signing_keys={"main": SEED, "other": OTHER_SEED},
        signature_header="webhook-signature",
        signed_headers=["webhook-id", "webhook-timestamp", "webhook-signature"],
        good=[
            resigned(good("signed", signed(), BODY, expected)),
            resigned(good("beside a v1", with_signature(f"{shared} {right}"), BODY, expected), beside=shared),
        ],
        bad=[
            unauth("another key", signed(OTHER_SEED), BODY, "sig_mismatch"),
            unauth("a v1 alone", with_signature(shared), BODY, "sig_malformed"),
            unauth("called v1", signed(version="v1"), BODY, "sig_malformed"),
            unauth("the length of a v1", with_signature("v1a," + shared[3:]), BODY, "sig_malformed"),
            unauth("no padding", with_signature(right.rstrip("=")), BODY, "sig_malformed"),
            unauth("other text for the same bytes", with_signature(another_text(right)), BODY, "sig_malformed"),
            resigned(
                bad("301 s old", signed(at_s=NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301
            ),
        ],
    )


def whpk(seed: str) -> str:
    public = bytes(SigningKey(bytes.fromhex(seed)).verify_key)
    return "whpk_" + base64.b64encode(public).decode()


def another_text(signature: str) -> str:
    """The same bytes in another base64 text: the last character before the padding holds bits that do not count."""
    at = len(signature.rstrip("=")) - 1
    return signature[:at] + chr(ord(signature[at]) + 1) + signature[at + 1 :]


KIND = "standard-webhooks"


def cases() -> list[dict[str, Any]]:
    return [standard_webhooks(), _v1a()]
