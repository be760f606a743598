"""Signed by Slack's own library; the example of its documentation among them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from slack_sdk.signature import SignatureVerifier

from makers.base import NOW_S, OTHER_KEY, TEXT_KEY, Headers, bad, case, good, resigned, unauth

KIND = "slack"
JSON, FORM = ["content-type", "application/json"], ["content-type", "application/x-www-form-urlencoded"]
BODY = '{"type":"event_callback","event_id":"Ev08MFMKH6","event":{"type":"app_mention","text":"hello"}}'
CHALLENGE = '{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}'
BLOCKS = "payload=" + quote('{"type":"block_actions","trigger_id":"12.34.ab","actions":[{"value":"a b&c"}]}')
DOCUMENTED = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def _signed(at_s: int = NOW_S, body: str = BODY, secret: str = TEXT_KEY, media: list[str] = JSON) -> Headers:
    text = SignatureVerifier(secret).generate_signature(timestamp=str(at_s), body=body)
    assert text is not None
    return [media, ["x-slack-request-timestamp", str(at_s)], ["x-slack-signature", text]]


def cases() -> list[dict[str, Any]]:
    right = _signed()[2][1]
    expected = {
        "id": "Ev08MFMKH6",
        "type": "slack.app_mention",
        "time_us": NOW_S * 1_000_000,
        "secret_id": "main",
    }

    def with_signature(text: str) -> Headers:
        return [*_signed()[:2], ["x-slack-signature", text]]

    main = case(
        "slack",
        KIND,
        secret=TEXT_KEY,
        other=OTHER_KEY,
        signature_header="x-slack-signature",
        signed_headers=["x-slack-request-timestamp", "x-slack-signature"],
        good=[
            resigned(good("an event", _signed(), BODY, expected)),
            resigned(
                good("a retry", [*_signed(), ["x-slack-retry-num", "1"]], BODY, expected),
            ),
            resigned(
                good(
                    "url_verification",
                    _signed(body=CHALLENGE),
                    CHALLENGE,
                    {
                        "handshake": "url_verification",
                        "status": 200,
                        "body": '{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}',
                    },
                )
            ),
            resigned(
                good(
                    "an interaction",
                    _signed(body=BLOCKS, media=FORM),
                    BLOCKS,
                    {
                        "id": "12.34.ab",
                        "type": "slack.block_actions",
                        "data": {"type": "block_actions", "trigger_id": "12.34.ab", "actions": [{"value": "a b&c"}]},
                    },
                )
            ),
            resigned(
                good(
                    "a command",
                    _signed(body=DOCUMENTED, media=FORM),
                    DOCUMENTED,
                    {"id": "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c", "type": "slack.command"},
                )
            ),
        ],
        bad=[
            unauth("no signature", _signed()[:2], BODY, "sig_missing"),
            unauth("no time", [_signed()[2]], BODY, "sig_missing"),
            unauth("another secret", _signed(secret=OTHER_KEY), BODY, "sig_mismatch"),
            unauth("another body", _signed(), BODY.replace("hello", "hallo"), "sig_mismatch"),
            unauth(
                "url_verification unsigned", [JSON, *with_signature("v0=" + "0" * 64)[1:]], CHALLENGE, "sig_mismatch"
            ),
            unauth("another version", with_signature("v1=" + right[3:]), BODY, "sig_malformed"),
            unauth("upper case", with_signature("v0=" + right[3:].upper()), BODY, "sig_malformed"),
            unauth("one digit too few", with_signature(right[:-1]), BODY, "sig_malformed"),
            unauth("prefix alone", with_signature("v0="), BODY, "sig_malformed"),
            *(
                unauth(f"time {text!r}", [["x-slack-request-timestamp", text], _signed()[2]], BODY, "ts_malformed")
                for text in ("soon", "1e9", "-1", "1790000000.5")
            ),
            resigned(bad("301 s old", _signed(NOW_S - 301), BODY, "POLICY_BLOCKED", 403, "ts_stale"), offset_s=-301),
            resigned(bad("31 s ahead", _signed(NOW_S + 31), BODY, "POLICY_BLOCKED", 403, "ts_future"), offset_s=40),
            bad("signature twice", [*_signed(), _signed()[2]], BODY, "MALFORMED", 400, "header_repeated"),
            resigned(
                bad(
                    "a challenge that is no text",
                    _signed(body='{"type":"url_verification","challenge":{}}'),
                    '{"type":"url_verification","challenge":{}}',
                    "MALFORMED",
                    400,
                    "challenge_malformed",
                )
            ),
            resigned(
                bad(
                    "a form with a broken escape",
                    _signed(body="payload=%zz", media=FORM),
                    "payload=%zz",
                    "MALFORMED",
                    400,
                    "form_invalid",
                )
            ),
        ],
    )
    documented = case(
        "slack-documented",
        KIND,
        now_s=1_531_420_618,
        secret="8f742231b10e8888abcd99yyyzzz85a5",
        other=OTHER_KEY,
        signature_header="x-slack-signature",
        signed_headers=["x-slack-request-timestamp", "x-slack-signature"],
        good=[
            resigned(
                good(
                    "the example of the documentation",
                    [
                        FORM,
                        ["x-slack-request-timestamp", "1531420618"],
                        ["x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
                    ],
                    DOCUMENTED,
                    {"type": "slack.command"},
                )
            )
        ],
        bad=[],
    )
    return [main, documented]
