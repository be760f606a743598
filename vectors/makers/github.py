"""Signed by githubkit."""

from __future__ import annotations

from typing import Any

from githubkit.webhooks import sign as github_sign

from makers.base import (
    DELIVERY,
    NOW_S,
    OTHER_KEY,
    TEXT_KEY,
    Headers,
    bad,
    good,
    unauth,
)


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


KIND = "github"


def cases() -> list[dict[str, Any]]:
    return [github()]
