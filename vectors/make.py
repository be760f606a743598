"""Writes the vectors beside this file. Signatures come from the providers' public libraries, never from RCO.

Run it with the development dependencies: ``python vectors/make.py``. Its output does not change from run to run.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from githubkit.webhooks import sign as github_sign
from standardwebhooks import Webhook

HERE = Path(__file__).parent
NOW_S = 1_790_000_000
BODY = '{"type":"invoice.paid","data":{"id":"in_1","amount":4200}}'
TEXT_KEY = "correct horse battery staple"
OTHER_KEY = "another horse, another battery"
WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_WHSEC = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

Headers = list[list[str]]
Vector = dict[str, Any]


def whsec_signature(secret: str, message_id: str, at_s: int, body: str) -> str:
    """As the reference library of Standard Webhooks signs."""
    return str(Webhook(secret).sign(message_id, datetime.fromtimestamp(at_s, UTC), body))


def good(name: str, headers: Headers, body: str, expect: dict[str, Any]) -> Vector:
    return {"name": name, "headers": headers, "body": body, "expect": expect}


def bad(name: str, headers: Headers, body: str, reason: str, status: int, detail: str) -> Vector:
    return {
        "name": name,
        "headers": headers,
        "body": body,
        "refused": {"reason": reason, "status": status, "detail": detail},
    }


def unauth(name: str, headers: Headers, body: str, detail: str, status: int = 401) -> Vector:
    return bad(name, headers, body, "UNAUTH", status, detail)


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
            good("signed", signed(), BODY, expected),
            good("svix headers", signed(prefix="svix"), BODY, expected),
            good("second of two signatures", with_signature(f"{wrong} {right}"), BODY, expected),
            good("beside a version that is not known", with_signature(f"v1a,whatever {right}"), BODY, expected),
            good(
                "300 s old",
                signed(NOW_S - 300),
                BODY,
                {**expected, "time_us": (NOW_S - 300) * 1_000_000},
            ),
            good("30 s ahead", signed(NOW_S + 30), BODY, {**expected, "time_us": (NOW_S + 30) * 1_000_000}),
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
            bad("301 s old", signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"),
            bad("31 s ahead", signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"),
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
            bad("no type", signed(body="{}"), "{}", "MALFORMED", 400, "type_missing"),
            bad("type is a number", signed(body='{"type":1}'), '{"type":1}', "MALFORMED", 400, "type_malformed"),
            bad("not an object", signed(body="[]"), "[]", "MALFORMED", 400, "json_not_object"),
        ],
    }


def github() -> dict[str, Any]:
    body = '{"action":"opened","number":7}'

    def signed(
        secret: str = TEXT_KEY, body: str = body, event: str = "pull_request", delivery: str = DELIVERY
    ) -> Headers:
        return [
            ["x-github-event", event],
            ["x-github-delivery", delivery],
            ["x-hub-signature-256", github_sign(secret, body, "sha256")],
        ]

    def with_signature(text: str) -> Headers:
        return [*signed()[:2], ["x-hub-signature-256", text]]

    right = signed()[2][1]
    expected = {"type": "github.pull_request.opened", "id": DELIVERY, "time_us": NOW_S * 1_000_000, "secret_id": "main"}
    return {
        "settings": {"name": "github", "kind": "github", "secrets": [{"secret_id": "main", "ref": "env:MAIN"}]},
        "secrets": {"env:MAIN": TEXT_KEY},
        "other_secret": OTHER_KEY,
        "now_us": NOW_S * 1_000_000,
        "signature_header": "x-hub-signature-256",
        "signed_headers": ["x-hub-signature-256"],
        "good": [
            good("signed", signed(), body, expected),
            good(
                "beside a SHA-1 signature",
                [*signed(), ["x-hub-signature", github_sign(TEXT_KEY, body, "sha1")]],
                body,
                expected,
            ),
            good(
                "no action",
                signed(body='{"zen":"x"}', event="ping"),
                '{"zen":"x"}',
                {"type": "github.ping", "id": DELIVERY},
            ),
        ],
        "bad": [
            unauth("no headers at all", [], body, "sig_missing"),
            unauth(
                "only SHA-1",
                [*signed()[:2], ["x-hub-signature", github_sign(TEXT_KEY, body, "sha1")]],
                body,
                "sig_missing",
            ),
            unauth("SHA-1 in its place", with_signature(github_sign(TEXT_KEY, body, "sha1")), body, "sig_malformed"),
            unauth("another secret", signed(secret=OTHER_KEY), body, "sig_mismatch"),
            unauth("another body", signed(), body.replace("7", "8"), "sig_mismatch"),
            unauth("no prefix", with_signature(right.removeprefix("sha256=")), body, "sig_malformed"),
            unauth("prefix alone", with_signature("sha256="), body, "sig_malformed"),
            unauth("upper case", with_signature("sha256=" + right[7:].upper()), body, "sig_malformed"),
            unauth("one digit too few", with_signature(right[:-1]), body, "sig_malformed"),
            unauth("one digit too many", with_signature(right + "0"), body, "sig_malformed"),
            bad("signature twice", [*signed(), signed()[2]], body, "MALFORMED", 400, "header_repeated"),
            bad("event twice", [*signed(), signed()[0]], body, "MALFORMED", 400, "header_repeated"),
            bad("no event", signed()[1:], body, "MALFORMED", 400, "type_missing"),
            bad("event with a space", signed(event="pull request"), body, "MALFORMED", 400, "type_malformed"),
            bad(
                "documented vector, which is not JSON",
                [
                    ["x-github-event", "push"],
                    ["x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"],
                ],
                "Hello, World!",
                "MALFORMED",
                400,
                "json_invalid",
            )
            | {"secrets": {"env:MAIN": "It's a Secret to Everybody"}},
        ],
    }


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
            good(
                "signed",
                signed(),
                BODY,
                {"id": "evt_1", "type": "paid", "time_us": NOW_S * 1_000_000, "secret_id": "main"},
            ),
        ],
        "bad": [
            unauth("no id", signed()[1:], BODY, "sig_missing", 403),
            unauth("no time", [signed()[0], *signed()[2:]], BODY, "sig_missing", 403),
            unauth("another secret", signed(secret=OTHER_WHSEC), BODY, "sig_mismatch", 403),
            bad("301 s old", signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"),
            bad("31 s ahead", signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"),
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
            "name": "slack",
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
            bad("holds, but is not JSON", headers, body, "MALFORMED", 400, "json_invalid"),
            unauth("one character changed", headers, body + "x", "sig_mismatch"),
        ],
    }


def main() -> None:
    files = {
        "standard-webhooks": [standard_webhooks()],
        "github": [github()],
        "hmac": [hmac_like_github(), hmac_like_standard_webhooks(), hmac_slack()],
    }
    for kind, cases in files.items():
        text = json.dumps({"kind": kind, "cases": cases}, indent=1, ensure_ascii=True)
        (HERE / f"{kind}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
