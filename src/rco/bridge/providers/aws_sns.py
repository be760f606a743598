"""Amazon SNS (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

The signature stands in the body, over some of its fields, with a certificate whose address stands there too. So the
body is decoded before anything is proven; what may be asked for is pinned to SNS's own hosts, only topics on the list
are looked at, and the event holds only what is signed.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from rco.bridge.certificates import Trusted
from rco.bridge.claim import Claims
from rco.bridge.contract import Errand, Handshake, Headers, Reply
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import Forming
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.private_keys import rsa_private
from rco.bridge.public_keys import decode_signature
from rco.bridge.rules import key_of, read_scheme
from rco.bridge.signature import TRACEPARENT, check_id, check_window, encode_base64, gather, trace_of, unauth
from rco.errors import ConfigInvalid, Reason, Refused
from rco.kit.clock import iso, parse_iso
from rco.model.delivery import Delivery

__all__ = ["KIND", "AwsSns"]

HORIZON_S = 86400.0
SIGNATURE_CAP_CHARS = 1024
RSA_BITS_MIN = 2048
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _SUBSCRIPTION,
    "UnsubscribeConfirmation": _SUBSCRIPTION,
}
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  (what version 1 is)
_HOST = r"https://sns\.[a-z]{2}(?:-[a-z]{1,12}){1,3}-\d{1,2}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE_URL = re.compile(_HOST + r"/SimpleNotificationService-[A-Za-z0-9-]{1,64}\.pem")
_SUBSCRIBE_URL = re.compile(_HOST + r"/\?[A-Za-z0-9%&=:._~+-]{1,2048}")
_SUBJECT = re.compile(r"sns(?:\.[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,32}:\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
_STAMP = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_CERTIFICATE = "certificate"
_WANTED = frozenset((TRACEPARENT,))


class SnsScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``topics`` that may send, by ARN; ``versions`` of signatures that count."""

    topics: list[str]
    versions: list[str] = msgspec.field(default_factory=lambda: ["1", "2"])


class AwsSns:
    """Verifies the messages of some topics."""

    __slots__ = (
        "_certificates",
        "_claims",
        "_forming",
        "_horizon_s",
        "_skew_s",
        "_status",
        "_topics",
        "_type",
        "_versions",
    )

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        scheme = read_scheme(settings, SnsScheme)
        if not 1 <= len(scheme.topics) <= 64 or not all(_TOPIC.fullmatch(topic) for topic in scheme.topics):
            raise ConfigInvalid(
                "topics must be 1 to 64 ARNs",
                cure="Write e.g. arn:aws:sns:eu-west-1:123456789012:orders.",
                key=key_of(settings, "scheme", "topics"),
            )
        if not scheme.versions or not set(scheme.versions) <= set(_HASHES):
            raise ConfigInvalid('versions are "1" and "2"', key=key_of(settings, "scheme", "versions"))
        self._topics, self._versions = frozenset(scheme.topics), frozenset(scheme.versions)
        self._certificates, self._claims = materials.certificates, Claims(settings.name)
        self._skew_s, self._horizon_s = settings.skew_limit_s, settings.retry_horizon_s or HORIZON_S
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "aws-sns:rsa", materials.subject, 7 * HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery | Handshake | Errand:
        """See ``Verifier.verify``. The body is decoded first, as the signature stands in it."""
        if expand is not None:
            # What is signed are parts of the plain body, so it would have to be expanded before anything is proven.
            raise Refused(Reason.MEDIA_TYPE, "content_encoding")
        status = self._status
        found = gather(headers, _WANTED)
        data = decode_object(body)
        kind, topic, url, version, text = (
            data.get(name) for name in ("Type", "TopicArn", "SigningCertURL", "SignatureVersion", "Signature")
        )
        if type(text) is not str or not text or type(url) is not str or not url:
            raise unauth("sig_missing", status)
        if type(topic) is not str or topic not in self._topics:
            raise unauth("topic_unknown", status)
        if type(kind) is not str or kind not in _SIGNED or type(version) is not str or version not in self._versions:
            raise unauth("sig_malformed", status)
        fields = {name: data[name] for name in _SIGNED[kind] if data.get(name) is not None}
        raw = (
            decode_signature(text.encode("utf-8", "replace"), base64=True) if len(text) <= SIGNATURE_CAP_CHARS else None
        )
        required = set(_SIGNED[kind]) - {"Subject"}
        if raw is None or not required <= fields.keys() or not all(type(value) is str for value in fields.values()):
            raise unauth("sig_malformed", status)
        if _CERTIFICATE_URL.fullmatch(url) is None:
            raise unauth("cert_foreign", status)
        trusted = self._certificates.known(url, now_us)
        if trusted is None:
            return self._certificates.errand(url, _accept, status)
        try:
            trusted.key.verify(raw, _signed_text(fields, _SIGNED[kind]), padding.PKCS1v15(), _HASHES[version])
        except InvalidSignature:
            raise unauth("sig_mismatch", status) from None
        message_id = fields["MessageId"].encode("utf-8", "replace")
        check_id(message_id, b"", status)
        time_us = _time(fields["Timestamp"], status)
        # Each retry carries the time of the first: the claim lives longer than this horizon and refuses replays.
        check_window(time_us, now_us, self._horizon_s, self._skew_s)
        if kind == "SubscriptionConfirmation":
            return self._subscription(fields)
        return self._forming.delivery(
            data=fields,
            body=body,
            # Only what is signed: MessageAttributes and UnsubscribeURL could be anybody's.
            payload=msgspec.json.encode(fields),
            event_id=message_id.decode("ascii"),
            event_type=self._type or f"aws.sns.{kind.lower()}",
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=self._claims.of_id(message_id),
            secret_id=_CERTIFICATE,
            sig_alg=f"aws-sns-v{version}:rsa-{_HASHES[version].name}",
        )

    def _subscription(self, fields: dict[str, str]) -> Handshake:
        """Confirm it at SNS's own host, for the topic that the message is about."""
        url = fields["SubscribeURL"]
        query = dict(parse_qsl(urlsplit(url).query)) if _SUBSCRIBE_URL.fullmatch(url) else {}
        if query.get("Action") != "ConfirmSubscription" or query.get("TopicArn") != fields["TopicArn"]:
            raise unauth("subscribe_url_foreign", self._status)
        return Handshake(
            name="subscription_confirmation",
            secret_id=_CERTIFICATE,
            reply=Reply(status=200, body=b"{}"),
            errand=self._certificates.confirm(url),
        )


def _signed_text(fields: dict[str, str], names: tuple[str, ...]) -> bytes:
    return "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields).encode()


def _accept(pem: bytes) -> Trusted:
    """The key in a certificate that was made for SNS. Its place is pinned, and TLS proved who answers there."""
    certificate = x509.load_pem_x509_certificates(pem)[0]
    names: list[Any] = [one.value for one in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if len(names) != 1 or _SUBJECT.fullmatch(str(names[0])) is None:
        raise ValueError("it was made for somebody else")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError("it holds no RSA key that is long enough")
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Trusted(key, round(first.timestamp() * 1e6), round(last.timestamp() * 1e6))


def _time(stamp: str, status: int) -> int:
    if _STAMP.fullmatch(stamp) is None:
        raise unauth("ts_malformed", status)
    try:
        return parse_iso(stamp)
    except ValueError:
        raise unauth("ts_malformed", status) from None


def sign(signing: Signing) -> Signed:
    """The body with SNS's own fields around it. The secret is the private key; ``options``: ``topic``, ``cert_url``,
    ``version``, ``fields`` (in place of what stands there otherwise)."""
    version = str(signing.options.get("version", "2"))
    fields: dict[str, str] = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": str(signing.options["topic"]),
        "Message": signing.body.decode(),
        "Timestamp": iso(signing.at_us)[:23] + "Z",
        **signing.options.get("fields", {}),
    }
    algorithm = _HASHES[version]
    raw = rsa_private(signing.secret).sign(_signed_text(fields, _SIGNED[fields["Type"]]), padding.PKCS1v15(), algorithm)
    fields |= {
        "SignatureVersion": version,
        "Signature": encode_base64(raw).decode(),
        "SigningCertURL": str(signing.options["cert_url"]),
    }
    headers = [("Content-Type", "text/plain; charset=UTF-8"), ("x-amz-sns-message-type", fields["Type"])]
    return headers, msgspec.json.encode(fields)


KIND = Kind(
    name="aws-sns",
    about=About(
        title="Amazon SNS",
        url="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        headers=("none: the signature stands in the body",),
        signed="`Key\\nValue\\n` of Message, MessageId, Subject, Timestamp, TopicArn and Type, in this order",
        algorithm="RSA with SHA-256 (version 2) or SHA-1 (version 1), by the certificate at `SigningCertURL`",
        credential="none: a certificate of SNS, and the topics that may send",
        type="`aws.sns.notification`, `aws.sns.unsubscribeconfirmation`",
        dedupe="the signed `MessageId`, for 7 days",
        time="`Timestamp`, judged by `retry_horizon` (a day) as retries keep it",
        example="""\
orders:
  kind: aws-sns
  scheme:
    topics: ["arn:aws:sns:eu-west-1:123456789012:orders"]
    versions: ["2"]
""",
        handshake=(
            "SubscriptionConfirmation: once its signature holds, its address at SNS is asked, and the answer waits for"
            " that"
        ),
        retries="for about an hour as it comes, longer where the topic's policy says so",
        scheme=(
            ("topics", "the ARNs that may send"),
            ("versions", 'the signature versions that count: `"1"` (SHA-1), `"2"` (SHA-256); default both'),
        ),
        traps=(
            "MessageAttributes and UnsubscribeURL are not signed and not given on.",
            "Raw message delivery carries no signature and is refused: leave it off.",
            'A topic signs with SHA-1 until `SignatureVersion` is set to 2; then allow `["2"]` alone.',
        ),
    ),
    build=AwsSns,
    whole=because("its signature stands in the body, and is over fields of it"),
    key_from=None,
    content_types=("text/plain", "application/json"),
    sign=sign,
)
