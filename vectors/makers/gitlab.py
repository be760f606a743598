"""A signing token signs as Standard Webhooks do, so its reference library signs here; a secret token signs nothing."""

from __future__ import annotations

import base64
from typing import Any

from makers.base import DELIVERY, NOW_S, OTHER_KEY, TEXT_KEY, Headers, bad, case, good, resigned, unauth
from makers.standard_webhooks import whsec_signature

KIND = "gitlab"
BODY = '{"object_kind":"merge_request","event_type":"merge_request","object_attributes":{"iid":7}}'
WHSEC = "whsec_" + base64.b64encode(bytes(range(64, 96))).decode()
NEW_WHSEC = "whsec_" + base64.b64encode(bytes(range(128, 160))).decode()
OTHER_WHSEC = "whsec_" + base64.b64encode(bytes(range(96, 128))).decode()


def _signed(at_s: int = NOW_S, body: str = BODY, secret: str = WHSEC) -> Headers:
    return [
        ["webhook-id", DELIVERY],
        ["webhook-timestamp", str(at_s)],
        ["webhook-signature", whsec_signature(secret, DELIVERY, at_s, body)],
    ]


def cases() -> list[dict[str, Any]]:
    token = ["x-gitlab-token", TEXT_KEY]
    right = _signed()[2][1]
    both = [{"secret_id": "main", "ref": "env:MAIN"}, {"secret_id": "token", "ref": "env:TOKEN"}]
    signed = case(
        "gitlab",
        KIND,
        secret=WHSEC,
        other=OTHER_WHSEC,
        signature_header="webhook-signature",
        signed_headers=["webhook-id", "webhook-timestamp", "webhook-signature"],
        good=[
            resigned(
                good(
                    "signed",
                    _signed(),
                    BODY,
                    {
                        "id": DELIVERY,
                        "type": "gitlab.merge_request",
                        "time_us": NOW_S * 1_000_000,
                        "secret_id": "main",
                    },
                )
            ),
            resigned(good("beside a token", [*_signed(), token], BODY, {"type": "gitlab.merge_request"})),
        ],
        bad=[
            unauth("no headers at all", [], BODY, "sig_missing"),
            unauth("a token instead of the signature", [token], BODY, "sig_missing"),
            unauth("another secret", _signed(secret=OTHER_WHSEC), BODY, "sig_mismatch"),
            unauth("another body", _signed(), BODY.replace("7", "8"), "sig_mismatch"),
            unauth("no version", [*_signed()[:2], ["webhook-signature", right[3:]]], BODY, "sig_malformed"),
            unauth("empty text", [*_signed()[:2], ["webhook-signature", "v1,"]], BODY, "sig_malformed"),
            resigned(bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301),
            bad("signature twice", [*_signed(), _signed()[2]], BODY, "MALFORMED", 400, "header_repeated"),
            resigned(bad("no kind", _signed(body="{}"), "{}", "MALFORMED", 400, "type_missing")),
        ],
    )
    plain = case(
        "gitlab-token",
        KIND,
        secret=TEXT_KEY,
        other=OTHER_KEY,
        bearer=True,
        signature_header="x-gitlab-token",
        signed_headers=["x-gitlab-token"],
        good=[good("with the token", [token], BODY, {"type": "gitlab.merge_request", "secret_id": "main"})],
        bad=[
            unauth("no token", [], BODY, "sig_missing"),
            unauth("empty", [["x-gitlab-token", ""]], BODY, "sig_missing"),
            unauth("another token", [["x-gitlab-token", OTHER_KEY]], BODY, "sig_mismatch"),
            unauth("the beginning of the token", [["x-gitlab-token", TEXT_KEY[:-1]]], BODY, "sig_mismatch"),
            unauth("more than the token", [["x-gitlab-token", TEXT_KEY + "x"]], BODY, "sig_mismatch"),
            bad("twice", [token, token], BODY, "MALFORMED", 400, "header_repeated"),
        ],
    )
    old = ["x-gitlab-token", "a token that was there before"]
    moving = case(
        "gitlab-moving",
        KIND,
        secret=NEW_WHSEC,
        other=OTHER_WHSEC,
        signature_header="webhook-signature",
        signed_headers=["webhook-id", "webhook-timestamp", "webhook-signature"],
        settings={"secrets": both},
        good=[
            resigned(good("signed", _signed(secret=NEW_WHSEC), BODY, {"secret_id": "main"})),
            good("with the token", [old], BODY, {"secret_id": "token"}),
        ],
        bad=[
            unauth("a bad signature beside a good token", [*_signed(secret=OTHER_WHSEC), old], BODY, "sig_mismatch"),
        ],
    )
    moving["secrets"]["env:TOKEN"] = old[1]
    return [signed, plain, moving]
