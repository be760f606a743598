"""Signed by Twilio's own library."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from makers.base import NOW_S, OTHER_KEY, TEXT_KEY, Headers, bad, case, good, unauth

KIND = "twilio"
URL = "https://mycompany.example/webhooks/twilio"
QUERY_URL = "https://mycompany.example:8443/x?a=b"
FORM, JSON = ["content-type", "application/x-www-form-urlencoded; charset=utf-8"], ["content-type", "application/json"]
BODY = "MessageSid=SM1&MessageStatus=delivered&From=Zoe+B&Body=&AccountSid=AC1"
EVENT = '{"EventType":"onMessageAdded","Body":"hi"}'


class _Pairs:
    """The pairs of a form as the web frameworks hand them to Twilio's library."""

    def __init__(self, body: str) -> None:
        self._pairs = parse_qsl(body, keep_blank_values=True)

    def __iter__(self) -> Any:
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def getall(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]


def _signed(body: str = BODY, secret: str = TEXT_KEY, url: str = URL, algorithm: str = "HMAC_SHA1") -> Headers:
    text = RequestValidator(secret).compute_signature(url, _Pairs(body), algorithm)
    more = (
        [] if algorithm == "HMAC_SHA1" else [["x-twilio-webhooks-signature-settings", f"key=WK1,algorithm={algorithm}"]]
    )
    return [FORM, ["x-twilio-signature", text], *more]


def _signed_json(body: str = EVENT, secret: str = TEXT_KEY, url: str = URL) -> Headers:
    full = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    return [JSON, ["x-twilio-signature", RequestValidator(secret).compute_signature(full, {})]]


def cases() -> list[dict[str, Any]]:
    right = _signed()[1][1]
    status = {"status": 204, "body": ""}

    def with_signature(text: str) -> Headers:
        return [FORM, ["x-twilio-signature", text]]

    shared = {"signature_header": "x-twilio-signature", "signed_headers": ["x-twilio-signature"]}
    repeated = "Media[]=b&Media[]=a&Media%5B%5D=b&Empty"
    digest = hashlib.sha256(EVENT.encode()).hexdigest()
    documented = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    return [
        case(
            "twilio",
            KIND,
            secret=TEXT_KEY,
            other=OTHER_KEY,
            **shared,
            settings={"scheme": {"public_url": URL}},
            good=[
                good(
                    "a form",
                    _signed(),
                    BODY,
                    {
                        "type": "twilio.message.delivered",
                        "time_us": NOW_S * 1_000_000,
                        "secret_id": "main",
                        "data": {
                            "MessageSid": "SM1",
                            "MessageStatus": "delivered",
                            "From": "Zoe B",
                            "Body": "",
                            "AccountSid": "AC1",
                        },
                        **status,
                    },
                ),
                good("signed with the port", _signed(url=URL.replace("example/", "example:443/")), BODY, status),
                good("a shared key with SHA-256", _signed(algorithm="HMAC_SHA256"), BODY, status),
                good(
                    "names that repeat, with brackets",
                    _signed(repeated),
                    repeated,
                    {"type": "twilio.event", "data": {"Media[]": ["b", "a"], "Empty": ""}, **status},
                ),
                good("JSON", _signed_json(), EVENT, {"type": "twilio.onMessageAdded", **status}),
                good("an empty form", _signed(""), "", {"type": "twilio.event", "data": {}, **status}),
            ],
            bad=[
                unauth("no signature", [FORM], BODY, "sig_missing"),
                unauth("another secret", _signed(secret=OTHER_KEY), BODY, "sig_mismatch"),
                unauth("one more field", _signed(), BODY + "&Admin=1", "sig_mismatch"),
                unauth("one field less", _signed(), BODY.replace("&Body=", ""), "sig_mismatch"),
                unauth("another address", _signed(url="https://evil.example/webhooks/twilio"), BODY, "sig_mismatch"),
                unauth("http", _signed(url=URL.replace("https", "http")), BODY, "sig_mismatch"),
                unauth(
                    "another address, told by X-Forwarded-Host",
                    [*_signed(url="https://evil.example/webhooks/twilio"), ["x-forwarded-host", "evil.example"]],
                    BODY,
                    "sig_mismatch",
                ),
                unauth("a form sent as JSON", [JSON, _signed()[1]], BODY, "sig_mismatch"),
                unauth("JSON with another body", _signed_json(), EVENT.replace("hi", "ho"), "sig_mismatch"),
                unauth(
                    "JSON's signature on a form that spells out its query",
                    [FORM, _signed_json()[1]],
                    f"%3FbodySHA256%3D={digest}",
                    "sig_mismatch",
                ),
                unauth("a broken escape", _signed(), BODY + "%", "sig_mismatch"),
                unauth("no padding", with_signature(right.rstrip("=")), BODY, "sig_malformed"),
                unauth("hexadecimal", with_signature("0" * 40), BODY, "sig_malformed"),
                unauth(
                    "an algorithm that is not known",
                    [*_signed(), ["x-twilio-webhooks-signature-settings", "key=WK1,algorithm=HMAC_MD5"]],
                    BODY,
                    "sig_malformed",
                ),
                unauth(
                    "SHA-1 called SHA-256",
                    [*_signed(), ["x-twilio-webhooks-signature-settings", "algorithm=HMAC_SHA256"]],
                    BODY,
                    "sig_malformed",
                ),
                bad("signature twice", [*_signed(), _signed()[1]], BODY, "MALFORMED", 400, "header_repeated"),
                bad("JSON that is none", _signed_json("a=b"), "a=b", "MALFORMED", 400, "json_invalid"),
            ],
        ),
        case(
            "twilio-query",
            KIND,
            secret=TEXT_KEY,
            other=OTHER_KEY,
            **shared,
            settings={"scheme": {"public_url": QUERY_URL, "algorithms": ["sha256"]}},
            good=[
                good(
                    "an address with a query",
                    _signed(url=QUERY_URL, algorithm="HMAC_SHA256"),
                    BODY,
                    status,
                )
            ],
            bad=[unauth("SHA-1 where it is not allowed", _signed(url=QUERY_URL), BODY, "sig_malformed")],
        ),
        case(
            "twilio-documented",
            KIND,
            decoded=True,  # %2b says what %2B says
            secret="1c892n40nd03kdnc0112slzkl3091j20",
            other=OTHER_KEY,
            **shared,
            settings={"scheme": {"public_url": "https://mycompany.com/myapp.php?foo=1&bar=2"}},
            good=[
                good(
                    "the fields of the documentation",
                    _signed(
                        documented, "1c892n40nd03kdnc0112slzkl3091j20", "https://mycompany.com/myapp.php?foo=1&bar=2"
                    ),
                    documented,
                    {"type": "twilio.event", **status},
                )
            ],
            bad=[],
        ),
    ]
