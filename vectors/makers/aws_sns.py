"""Signed with ``cryptography`` and a test certificate: nobody but AWS has SNS's key."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from makers.base import NOW_S, Headers, bad, case, good, resigned, unauth
from makers.certificates import certificate, private, private_text

KIND = "aws-sns"
TOPIC = "arn:aws:sns:us-west-2:123456789012:MyTopic"
HOST = "https://sns.us-west-2.amazonaws.com"
URL = f"{HOST}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"
SUBSCRIBE = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
PLAIN = ["content-type", "text/plain; charset=UTF-8"]
MESSAGE = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "My First Message",
    "Message": "Hello world!",
}
CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f37",
    "TopicArn": TOPIC,
    "Message": "You have chosen to subscribe to the topic.",
    "SubscribeURL": SUBSCRIBE,
}
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def _signed(
    fields: dict[str, str] = MESSAGE,
    at_s: int = NOW_S,
    version: str = "2",
    key: str = "sns",
    url: str = URL,
    **changed: Any,
) -> str:
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    full = {**fields, "Timestamp": stamp}
    names = NOTIFICATION if full["Type"] == "Notification" else SUBSCRIPTION
    text = "".join(f"{name}\n{full[name]}\n" for name in names if name in full)
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    raw = private(key).sign(text.encode(), padding.PKCS1v15(), algorithm)
    full |= {"SignatureVersion": version, "Signature": base64.b64encode(raw).decode(), "SigningCertURL": url}
    full |= {"UnsubscribeURL": f"{HOST}/?Action=Unsubscribe", **changed}
    return json.dumps({name: value for name, value in full.items() if value is not None})


def cases() -> list[dict[str, Any]]:
    headers: Headers = [PLAIN, ["x-amz-sns-message-type", "Notification"]]
    stamp = "2026-09-21T14:13:20.000Z"
    options = {"topic": TOPIC, "cert_url": URL}
    stranger = f"{HOST}/SimpleNotificationService-stranger.pem"

    def accepted(name: str, body: str, expect: dict[str, Any], **more: Any) -> dict[str, Any]:
        return resigned(good(name, headers, body, expect), **options, **more)

    def refused(name: str, body: str, detail: str) -> dict[str, Any]:
        return unauth(name, headers, body, detail)

    def foreign(name: str, url: str) -> dict[str, Any]:
        return refused(name, _signed(url=url), "cert_foreign")

    def confirmation(name: str, url: str) -> dict[str, Any]:
        return refused(name, _signed({**CONFIRMATION, "SubscribeURL": url}), "subscribe_url_foreign")

    return [
        case(
            "sns",
            KIND,
            in_body=True,
            signing_keys={"main": private_text("sns"), "other": private_text("stranger")},
            certificates={
                URL: certificate("sns.amazonaws.com", "sns"),
                stranger: certificate("evil.example", "stranger"),
                SUBSCRIBE: "<ConfirmSubscriptionResponse/>",
            },
            settings={"scheme": {"topics": [TOPIC]}},
            good=[
                accepted(
                    "version 2",
                    _signed(),
                    {
                        "id": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
                        "type": "aws.sns.notification",
                        "time_us": NOW_S * 1_000_000,
                        "secret_id": "certificate",
                        "data": {**MESSAGE, "Timestamp": stamp},
                    },
                    fields={"Subject": "My First Message"},
                ),
                accepted("version 1", _signed(version="1"), {"type": "aws.sns.notification"}, version="1"),
                accepted(
                    "without a subject",
                    _signed({name: value for name, value in MESSAGE.items() if name != "Subject"}),
                    {"type": "aws.sns.notification"},
                ),
                accepted(
                    "what is not signed is not given on",
                    _signed(MessageAttributes={"role": {"Type": "String", "Value": "admin"}}),
                    {"data": {**MESSAGE, "Timestamp": stamp}},
                ),
                accepted(
                    "a retry after an hour, which keeps its time",
                    _signed(at_s=NOW_S - 3600),
                    {"type": "aws.sns.notification"},
                )
                | {"sign": {"secret": "main", "offset_s": -3600, "options": options}},
                accepted(
                    "subscription confirmation",
                    _signed(CONFIRMATION),
                    {"handshake": "subscription_confirmation", "status": 200, "body": "{}"},
                    fields=CONFIRMATION,
                ),
            ],
            bad=[
                bad("not JSON", headers, "Hello world!", "MALFORMED", 400, "json_invalid"),
                bad("a key twice", headers, '{"Type":"a","Type":"b"}', "MALFORMED", 400, "json_duplicate_key"),
                refused("raw delivery, which carries no signature", '{"orders":[1]}', "sig_missing"),
                refused("no signature", _signed(Signature=None), "sig_missing"),
                refused("empty signature", _signed(Signature=""), "sig_missing"),
                refused("another key", _signed(key="stranger"), "sig_mismatch"),
                refused("another message", _signed(Message="Hello moon!"), "sig_mismatch"),
                refused("a subject taken away", _signed(Subject=None), "sig_mismatch"),
                refused("version 2 called 1", _signed(SignatureVersion="1"), "sig_mismatch"),
                refused("version 3", _signed(SignatureVersion="3"), "sig_malformed"),
                refused("a type that is not known", _signed(Type="Anything"), "sig_malformed"),
                refused("a field that is no text", _signed(Message=["Hello world!"]), "sig_malformed"),
                refused("a field away", _signed(MessageId=None), "sig_malformed"),
                refused("junk for a signature", _signed(Signature="not base64!"), "sig_malformed"),
                refused("another topic", _signed({**MESSAGE, "TopicArn": TOPIC + "2"}), "topic_unknown"),
                foreign(
                    "a certificate on S3", "https://s3.amazonaws.com/sns.us-west-2/SimpleNotificationService-x.pem"
                ),
                foreign(
                    "a user in the address",
                    "https://sns.us-west-2.amazonaws.com@evil.example/SimpleNotificationService-x.pem",
                ),
                foreign("http", URL.replace("https", "http")),
                foreign("a port", URL.replace(".com/", ".com:8443/")),
                foreign("the host as a subdomain", URL.replace(".com/", ".com.evil.example/")),
                foreign("a bucket called sns", "https://sns.s3.amazonaws.com/SimpleNotificationService-x.pem"),
                foreign("another path", URL.replace("SimpleNotificationService", "evil")),
                foreign("a query", URL + "?x=.pem"),
                foreign("a line end", URL + "\n"),
                refused("a certificate for somebody else", _signed(url=stranger, key="stranger"), "cert_refused"),
                refused(
                    "a certificate that is not there", _signed(url=URL.replace("f3ecfb", "000000")), "cert_refused"
                ),
                refused("confirmation unsigned", json.dumps({**CONFIRMATION, "Timestamp": stamp}), "sig_missing"),
                refused("confirmation with another's signature", _signed(CONFIRMATION, key="stranger"), "sig_mismatch"),
                confirmation("confirmation elsewhere", "https://evil.example/?Action=ConfirmSubscription"),
                confirmation("confirmation with a user", SUBSCRIBE.replace("https://", "https://a@")),
                confirmation("confirmation of another topic", SUBSCRIBE.replace("MyTopic", "Another")),
                confirmation("another action", SUBSCRIBE.replace("ConfirmSubscription", "Publish")),
                resigned(
                    bad("a day old", headers, _signed(at_s=NOW_S - 86_401), "POLICY_BLOCKED", 403, "ts_stale"),
                    offset_s=-86_500,
                    **options,
                ),
                resigned(
                    bad("31 s ahead", headers, _signed(at_s=NOW_S + 31), "POLICY_BLOCKED", 403, "ts_future"),
                    offset_s=40,
                    **options,
                ),
            ],
        )
    ]
