"""PayPal (https://developer.paypal.com/api/rest/webhooks/rest/).

RSA-SHA256 over ``TRANSMISSION-ID|TIME|WEBHOOK-ID|CRC32(body)``, with the certificate that ``PAYPAL-CERT-URL`` names.
The webhook's id takes the place of a secret: a signature for another webhook does not hold here.

A CRC is no digest. Whoever has one signed request can make other bodies with the same CRC, so a transmission counts
once, by its signed id, and what comes again under it is a repeat.
"""

from __future__ import annotations

import datetime as dt
import re
import zlib
from functools import partial

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from rco.bridge.certificates import Trusted
from rco.bridge.claim import Claims
from rco.bridge.contract import Errand, Headers
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import Forming, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.private_keys import rsa_private
from rco.bridge.public_keys import Check, PublicKey, decode_signature, matching_key
from rco.bridge.rules import read_scheme
from rco.bridge.signature import TRACEPARENT, check_id, check_window, encode_base64, gather, trace_of, unauth
from rco.kit.clock import iso, parse_iso
from rco.model.delivery import Delivery

__all__ = ["KIND", "PayPal"]

HORIZON_S = 4 * 86400.0
SIGNATURE_CAP_CHARS = 1024
RSA_BITS_MIN = 2048
_PREFIX = b"paypal-"
_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM = (
    _PREFIX + name
    for name in (b"transmission-id", b"transmission-time", b"transmission-sig", b"cert-url", b"auth-algo")
)
_WANTED = frozenset((_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM, TRACEPARENT))
_STAMP = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_PATH = rb"/v1/notifications/certs/CERT-[A-Za-z0-9-]{1,128}"
_LIVE, _SANDBOX = (
    re.compile(rb"https://api\.paypal\.com" + _PATH),
    re.compile(rb"https://api\.sandbox\.paypal\.com" + _PATH),
)
_WEBHOOK_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")


class PayPalScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``sandbox``: take the sandbox's certificates, and only those."""

    sandbox: bool = False


def key_from(text: bytes) -> bytes:
    """The webhook's id. Raises ``ValueError``."""
    if _WEBHOOK_ID.fullmatch(text) is None:
        raise ValueError("it is not a webhook id: 8 to 64 letters, digits and hyphens")
    return text


class PayPal:
    """Verifies one PayPal webhook."""

    __slots__ = (
        "_certificates",
        "_claims",
        "_forming",
        "_horizon_s",
        "_name",
        "_pin",
        "_secrets",
        "_skew_s",
        "_status",
        "_type",
    )

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        sandbox = read_scheme(settings, PayPalScheme).sandbox
        self._pin = _SANDBOX if sandbox else _LIVE
        self._name = f"messageverificationcerts{'.sandbox' if sandbox else ''}.paypal.com"
        self._certificates, self._secrets = materials.certificates, materials.secrets
        self._claims = Claims(settings.name)
        self._skew_s, self._horizon_s = settings.skew_limit_s, settings.retry_horizon_s or HORIZON_S
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "paypal:rsa-sha256", materials.subject, HORIZON_S * 2)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery | Errand:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        if not all(found.get(name) for name in (_ID, _TIME, _SIGNATURE, _URL)):
            raise unauth("sig_missing", status)
        message_id, stamp, url = found[_ID], found[_TIME], found[_URL]
        if found.get(_ALGORITHM, b"SHA256withRSA") != b"SHA256withRSA" or len(found[_SIGNATURE]) > SIGNATURE_CAP_CHARS:
            raise unauth("sig_malformed", status)
        raw = decode_signature(found[_SIGNATURE], base64=True)
        if raw is None:
            raise unauth("sig_malformed", status)
        check_id(message_id, b"|", status)
        time_us = _time(stamp, status)
        if self._pin.fullmatch(url) is None:
            raise unauth("cert_foreign", status)
        trusted = self._certificates.known(url.decode("ascii"), now_us)
        if trusted is None:
            return self._certificates.errand(url.decode("ascii"), partial(self._accept, now_us), status)
        secret_id = self._match(trusted, raw, (message_id, stamp), zlib.crc32(body), now_us)
        # Each retry carries the time of the first: the claim lives longer than this horizon and refuses replays.
        check_window(time_us, now_us, self._horizon_s, self._skew_s)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=message_id.decode("ascii"),
            event_type=self._type or "paypal." + type_of(data, "event_type").lower(),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=self._claims.of_id(message_id),
            secret_id=secret_id,
        )

    def _match(self, trusted: Trusted, raw: bytes, head: tuple[bytes, bytes], crc: int, now_us: int) -> str:
        # One key for all webhooks of PayPal; what is signed differs by webhook.
        def check_for(webhook_id: bytes) -> Check:
            text = b"|".join((*head, webhook_id, b"%d" % crc))
            return lambda signature, _: trusted.key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())

        keys = tuple(PublicKey(one, check_for(one.key)) for one in self._secrets)
        return matching_key(keys, now_us, b"", (raw,), self._status)

    def _accept(self, now_us: int, pem: bytes) -> Trusted:
        """The key in the certificate whose chain ends in a root that is trusted here and which is PayPal's."""
        leaf, *between = x509.load_pem_x509_certificates(pem)
        roots = [x509.load_der_x509_certificate(raw) for raw in self._certificates.roots()]
        moment = dt.datetime.fromtimestamp(now_us / 1e6, dt.UTC)
        try:
            policy = PolicyBuilder().store(Store(roots)).time(moment).max_chain_depth(4)
            policy.build_server_verifier(x509.DNSName(self._name)).verify(leaf, between)
        except VerificationError as error:
            raise ValueError("the chain does not hold") from error
        key = leaf.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < RSA_BITS_MIN:
            raise ValueError("it holds no RSA key that is long enough")
        first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return Trusted(key, round(first.timestamp() * 1e6), round(last.timestamp() * 1e6))


def _time(stamp: bytes, status: int) -> int:
    if _STAMP.fullmatch(stamp) is None:
        raise unauth("ts_malformed", status)
    try:
        return parse_iso(stamp.decode("ascii"))
    except ValueError:
        raise unauth("ts_malformed", status) from None


def sign(signing: Signing) -> Signed:
    """Headers as PayPal sets them. The secret is the private key; ``options``: ``webhook_id``, ``cert_url``, ``id``."""
    message_id, stamp = str(signing.options.get("id", "7a2c1e00-0001")), iso(signing.at_us)[:19] + "Z"
    text = f"{message_id}|{stamp}|{signing.options['webhook_id']}|{zlib.crc32(signing.body)}"
    raw = rsa_private(signing.secret).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    headers = [
        ("PAYPAL-TRANSMISSION-ID", message_id),
        ("PAYPAL-TRANSMISSION-TIME", stamp),
        ("PAYPAL-CERT-URL", str(signing.options["cert_url"])),
        ("PAYPAL-AUTH-ALGO", "SHA256withRSA"),
        ("PAYPAL-TRANSMISSION-SIG", encode_base64(raw).decode()),
    ]
    return headers, signing.body


KIND = Kind(
    name="paypal",
    about=About(
        title="PayPal",
        url="https://developer.paypal.com/api/rest/webhooks/rest/",
        headers=tuple(
            f"PAYPAL-{name}" for name in ("TRANSMISSION-ID", "TRANSMISSION-TIME", "TRANSMISSION-SIG", "CERT-URL")
        ),
        signed="`{id}|{time}|{webhook_id}|{crc32(body)}`",
        algorithm="RSA with SHA-256 (PKCS #1 v1.5), by the certificate at `PAYPAL-CERT-URL`",
        credential="the webhook's id, as the dashboard shows it; not secret, but a signature is bound to it",
        type="`paypal.` and the body's `event_type` in lower case",
        dedupe="the signed transmission id, for 8 days",
        time="`PAYPAL-TRANSMISSION-TIME`, judged by `retry_horizon` as retries keep it",
        example="""\
paypal:
  kind: paypal
  secrets: [{secret_id: webhook-1, ref: "env:PAYPAL_WEBHOOK_ID"}]
  scheme: {sandbox: false}
""",
        retries="up to 25 times in 3 days",
        scheme=(("sandbox", "`true` for the sandbox's certificates, and only those"),),
        traps=(
            "The body is signed by its CRC only, which other bodies share: a transmission id counts once.",
            "The certificate must come from `api.paypal.com`, and its chain must end in a root of this machine.",
        ),
    ),
    build=PayPal,
    whole=because("the type and the identity stand in the body"),
    key_from=lambda _: key_from,
    sign=sign,
)
