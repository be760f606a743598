"""SendGrid's event webhook (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events).

ECDSA on P-256 with SHA-256 over the time stamp and the body, DER in base64. The body is an array of events and is
given on as one; it usually ends in a line end, which is signed too.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers
from rco.bridge.decode import decode_json
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.private_keys import ecdsa_private
from rco.bridge.public_keys import Check, PublicKey, decode_signature, matching_key
from rco.bridge.rules import fixed_scheme
from rco.bridge.secrets import open_base64
from rco.bridge.signature import TRACEPARENT, check_window, encode_base64, gather, parse_timestamp_s, trace_of, unauth
from rco.model.delivery import Delivery

__all__ = ["KIND", "SendGrid"]

SIGNATURE_CAP_CHARS = 100
_SIGNATURE = b"x-twilio-email-event-webhook-signature"
_TIME = b"x-twilio-email-event-webhook-timestamp"
_WANTED = frozenset((_SIGNATURE, _TIME, TRACEPARENT))
_PEM_HEAD, _PEM_TAIL = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"


def key_from(text: bytes) -> bytes:
    """The verification key: base64 of its DER, with or without the lines of PEM. Raises ``ValueError``."""
    bare = text.strip().removeprefix(_PEM_HEAD).removesuffix(_PEM_TAIL)
    der = open_base64(b"".join(bare.split()))
    _public(der)
    return der


def _public(der: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is not a public key on P-256")
    return key


def _check(key: ec.EllipticCurvePublicKey) -> Check:
    algorithm = ec.ECDSA(hashes.SHA256())
    return lambda signature, signed: key.verify(signature, signed, algorithm)


class SendGrid:
    """Verifies one SendGrid event webhook."""

    __slots__ = ("_age_s", "_claims", "_forming", "_keys", "_skew_s", "_status", "_type")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        fixed_scheme(settings)
        self._claims = Claims(settings.name)
        self._keys = tuple(PublicKey(one, _check(_public(one.key))) for one in materials.secrets)
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type = settings.bad_signature_status, settings.type or "sendgrid.events"
        self._forming = Forming(settings, "sendgrid:ecdsa-p256-sha256", materials.subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        signature, stamp = found.get(_SIGNATURE), found.get(_TIME)
        if not signature or not stamp:
            raise unauth("sig_missing", status)
        raw = decode_signature(signature, base64=True) if len(signature) <= SIGNATURE_CAP_CHARS else None
        if raw is None:
            raise unauth("sig_malformed", status)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        secret_id = matching_key(self._keys, now_us, stamp + body, (raw,), status)
        check_window(time_us, now_us, self._age_s, self._skew_s)
        content = body if expand is None else expand(body)
        claim = self._claims.of_bytes(body)
        return self._forming.delivery(
            data=decode_json(content),
            body=body,
            payload=content,
            event_id=claim.hex(),
            event_type=self._type,
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )


def sign(signing: Signing) -> Signed:
    """Headers as SendGrid sets them; the secret is the private key in PEM."""
    stamp = str(signing.at_us // 1_000_000)
    key = ecdsa_private(signing.secret)
    # Deterministic (RFC 6979), so that vectors do not change from run to run.
    raw = key.sign(stamp.encode() + signing.body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    headers = [
        ("X-Twilio-Email-Event-Webhook-Signature", encode_base64(raw).decode()),
        ("X-Twilio-Email-Event-Webhook-Timestamp", stamp),
    ]
    return headers, signing.body


KIND = Kind(
    name="sendgrid",
    about=About(
        title="SendGrid event webhook",
        url="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
        headers=("X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"),
        signed="`{timestamp}{body}`",
        algorithm="ECDSA on P-256 with SHA-256, DER in base64",
        credential="the verification key that SendGrid shows, base64",
        type="`sendgrid.events`: one event for each batch, its data the array",
        dedupe="the body, for 7 days",
        time="`X-Twilio-Email-Event-Webhook-Timestamp`",
        example="""\
mail:
  kind: sendgrid
  secrets: [{secret_id: mail-2026, ref: "env:SENDGRID_PUBLIC_KEY"}]
""",
        retries="for 24 hours",
        traps=(
            "The line end at the end of the body is signed.",
            "An ECDSA signature has a second form that verifies as well; repeats are recognised by the body.",
        ),
    ),
    build=SendGrid,
    whole=because("its events are a list in the body"),
    key_from=lambda _: key_from,
    sign=sign,
)
