"""Schemes of other providers, as configuration."""

from __future__ import annotations

from typing import Any

from githubkit.webhooks import sign as github_sign

from makers.base import (
    BODY,
    NOW_S,
    OTHER_KEY,
    OTHER_WHSEC,
    TEXT_KEY,
    WHSEC,
    Headers,
    bad,
    good,
    resigned,
    unauth,
)
from makers.standard_webhooks import whsec_signature


def hmac_like_github() -> dict[str, Any]:
    body = '{"type":"push","n":1}'
    header = ["x-signature", github_sign(TEXT_KEY, body, "sha256")]
    return {
        "settings": {
            "name": "plain",
            "kind": "hmac",
            "secrets": [{"secret_id": "main", "ref": "env:MAIN"}],
            "scheme": {"signature_header": "X-Signature", "prefix": "sha256="},
        },
        "secrets": {"env:MAIN": TEXT_KEY},
        "other_secret": OTHER_KEY,
        "now_us": NOW_S * 1_000_000,
        "signature_header": "x-signature",
        "signed_headers": ["x-signature"],
        "good": [good("signed", [header], body, {"type": "push", "time_us": NOW_S * 1_000_000, "secret_id": "main"})],
        "bad": [
            unauth("no header", [], body, "sig_missing"),
            unauth("another secret", [["x-signature", github_sign(OTHER_KEY, body, "sha256")]], body, "sig_mismatch"),
            unauth("no prefix", [["x-signature", header[1].removeprefix("sha256=")]], body, "sig_malformed"),
            bad("twice", [header, header], body, "MALFORMED", 400, "header_repeated"),
        ],
    }


def hmac_like_standard_webhooks() -> dict[str, Any]:
    def signed(at_s: int = NOW_S, secret: str = WHSEC) -> Headers:
        return [
            ["x-id", "evt_1"],
            ["x-time", str(at_s)],
            ["x-sig", whsec_signature(secret, "evt_1", at_s, BODY)],
            ["x-kind", "paid"],
        ]

    return {
        "settings": {
            "name": "timed",
            "kind": "hmac",
            "secrets": [{"secret_id": "main", "ref": "env:MAIN"}],
            "type_header": "X-Kind",
            "bad_signature_status": 403,
            "scheme": {
                "signature_header": "X-Sig",
                "id_header": "X-Id",
                "timestamp_header": "X-Time",
                "template": "{id}.{timestamp}.{body}",
                "encoding": "base64",
                "prefix": "v1,",
                "key_encoding": "base64",
            },
        },
        "secrets": {"env:MAIN": WHSEC.removeprefix("whsec_")},
        "other_secret": OTHER_WHSEC.removeprefix("whsec_"),
        "now_us": NOW_S * 1_000_000,
        "signature_header": "x-sig",
        "signed_headers": ["x-id", "x-time", "x-sig"],
        "good": [
            resigned(
                good(
                    "signed",
                    signed(),
                    BODY,
                    {"id": "evt_1", "type": "paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"},
                ),
                id="evt_1",
                headers=[["X-Kind", "paid"]],
            ),
        ],
        "bad": [
            unauth("no id", signed()[1:], BODY, "sig_missing", 403),
            unauth("no time", [signed()[0], *signed()[2:]], BODY, "sig_missing", 403),
            unauth("another secret", signed(secret=OTHER_WHSEC), BODY, "sig_mismatch", 403),
            resigned(
                bad("301 s old", signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"),
                offset_s=-301,
                id="evt_1",
                headers=[["X-Kind", "paid"]],
            ),
            resigned(
                bad("31 s ahead", signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"),
                offset_s=40,
                id="evt_1",
                headers=[["X-Kind", "paid"]],
            ),
        ],
    }


def hmac_slack() -> dict[str, Any]:
    """The example of Slack's documentation. Its body is a form, so only the signature can hold."""
    body = (
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = [
        ["x-slack-request-timestamp", "1531420618"],
        ["x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
    ]
    return {
        "settings": {
            "name": "slack-like",
            "kind": "hmac",
            "secrets": [{"secret_id": "main", "ref": "env:MAIN"}],
            "scheme": {
                "signature_header": "X-Slack-Signature",
                "timestamp_header": "X-Slack-Request-Timestamp",
                "template": "v0:{timestamp}:{body}",
                "prefix": "v0=",
            },
        },
        "secrets": {"env:MAIN": "8f742231b10e8888abcd99yyyzzz85a5"},
        "other_secret": OTHER_KEY,
        "now_us": 1_531_420_618_000_000,
        "signature_header": "x-slack-signature",
        "signed_headers": ["x-slack-request-timestamp", "x-slack-signature"],
        "good": [],
        "bad": [
            resigned(bad("holds, but is not JSON", headers, body, "MALFORMED", 400, "json_invalid")),
            unauth("one character changed", headers, body + "x", "sig_mismatch"),
        ],
    }


KIND = "hmac"


def cases() -> list[dict[str, Any]]:
    return [hmac_like_github(), hmac_like_standard_webhooks(), hmac_slack()]
