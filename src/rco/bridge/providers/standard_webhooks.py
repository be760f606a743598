"""Standard Webhooks (https://www.standardwebhooks.com), and Svix, which uses it under other header names.

Signed is ``id "." timestamp "." body``, with HMAC-SHA256 (``v1``) or ed25519 (``v1a``), several signatures in one
header. Signatures of versions for which the provider has no key are passed over.
"""

from __future__ import annotations

import hmac
import re
from functools import partial

from rco.bridge.claim import Claims
from rco.bridge.contract import Expression, Headers, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing
from rco.bridge.passing import Kept, Passing, Proven
from rco.bridge.private_keys import ed25519_private
from rco.bridge.public_keys import (
    ED25519_KEY_BYTES,
    ED25519_SIGNATURE_BYTES,
    decode_signature,
    ed25519_keys,
    matching_key,
)
from rco.bridge.rules import fixed_scheme, key_of
from rco.bridge.secrets import PublicBytes, Secret, open_base64
from rco.bridge.signature import (
    SIGNATURE_HEADER_CAP_BYTES,
    TRACEPARENT,
    check_id,
    check_window,
    encode_base64,
    gather,
    matching_secret,
    parse_timestamp_s,
    signers,
    trace_of,
    unauth,
    well_formed,
)
from rco.errors import ConfigInvalid, Reason, Refused
from rco.model.delivery import Delivery

__all__ = ["KIND", "StandardWebhooks", "key_from", "sign_v1"]

CANDIDATES_CAP = 16
KEY_BYTES = (24, 64)
_PREFIX, _PUBLIC_PREFIX, _PRIVATE_PREFIX = b"whsec_", b"whpk_", b"whsk_"
_NAMES = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_SVIX_NAMES = (b"svix-id", b"svix-timestamp", b"svix-signature")
_WANTED = frozenset((*_NAMES, *_SVIX_NAMES, TRACEPARENT))
_SVIX = frozenset(_SVIX_NAMES)
_ONE_V1 = re.compile(rb"v1,([A-Za-z0-9+/]{43}=)")
_ALGORITHM_V1A = "standard-webhooks-v1a:ed25519"


def key_from(text: bytes) -> bytes:
    """The key behind ``whsec_`` (24 to 64 bytes) or the public key behind ``whpk_``, both in base64. Raises
    ``ValueError``."""
    if text.startswith(_PUBLIC_PREFIX):
        public = open_base64(text[len(_PUBLIC_PREFIX) :])
        if len(public) != ED25519_KEY_BYTES:
            raise ValueError(f"it has {len(public)} bytes; an ed25519 public key has {ED25519_KEY_BYTES}")
        return PublicBytes(public)
    if text.startswith(_PRIVATE_PREFIX):
        raise ValueError("it begins with whsk_: that is the sender's private key; ask for the public one, whpk_")
    if not text.startswith(_PREFIX):
        raise ValueError("it does not begin with whsec_ or whpk_")
    key = open_base64(text[len(_PREFIX) :])
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise ValueError(f"it has {len(key)} bytes; Standard Webhooks asks for {KEY_BYTES[0]} to {KEY_BYTES[1]}")
    return key


class StandardWebhooks:
    """Verifies one provider's Standard Webhooks."""

    __slots__ = ("_age_s", "_claims", "_field", "_forming", "_keys", "_signers", "_skew_s", "_status", "_type")

    def __init__(self, settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> None:
        self._claims = Claims(settings.name)
        self._keys = ed25519_keys(tuple(one for one in secrets if isinstance(one.key, PublicBytes)))
        self._signers = signers(tuple(one for one in secrets if not isinstance(one.key, PublicBytes)), "sha256")
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status = settings.bad_signature_status
        self._type, self._field = settings.type, settings.type_field
        self._forming = Forming(settings, "standard-webhooks-v1:hmac-sha256", subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        message_id, stamp, candidates, public = self._read(found)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        signed = (b"%b.%b." % (message_id, stamp), body)
        sig_alg = None
        if not public:
            secret_id = matching_secret(self._signers, now_us, signed, encode_base64, candidates, status)
        else:
            secret_id, sig_alg = self._match_either(now_us, signed, candidates, public, status)
        check_window(time_us, now_us, self._age_s, self._skew_s)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=message_id.decode("ascii"),
            event_type=self._type or type_of(data, self._field),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=self._claims.of_id(message_id),
            secret_id=secret_id,
            sig_alg=sig_alg,
        )

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """See ``LargeVerifier.begin``: with shared secrets and a fixed type only."""
        found = gather(headers, _WANTED)
        message_id, stamp, candidates, _ = self._read(found)
        time_us = parse_timestamp_s(stamp, self._status) * 1_000_000
        return Passing(
            self._signers,
            now_us=now_us,
            length_bytes=length_bytes,
            claims=self._claims,
            encode=encode_base64,
            candidates=candidates,
            status=self._status,
            form=partial(self._large, found, message_id, time_us, now_us, corr_id),
            before=b"%b.%b." % (message_id, stamp),
            claim=self._claims.of_id(message_id),
        )

    def _large(
        self,
        found: dict[bytes, bytes],
        message_id: bytes,
        time_us: int,
        now_us: int,
        corr_id: str,
        proven: Proven,
        kept: Kept,
    ) -> Delivery:
        check_window(time_us, now_us, self._age_s, self._skew_s)
        return self._forming.large(
            proven,
            kept,
            event_id=message_id.decode("ascii"),
            event_type=self._type or type_of({}, self._field),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
        )

    def _read(self, found: dict[bytes, bytes]) -> tuple[bytes, bytes, list[bytes], list[bytes]]:
        """Identity, time and both kinds of signatures from the head. Raises ``Refused`` for what is missing, mixed or
        malformed."""
        status = self._status
        names = _NAMES
        if not _SVIX.isdisjoint(found):
            names = _SVIX_NAMES
            if not found.keys().isdisjoint(_NAMES):
                raise Refused(Reason.MALFORMED, "sig_mixed")
        message_id, stamp, signature = found.get(names[0]), found.get(names[1]), found.get(names[2])
        if not message_id or not stamp or not signature:
            raise unauth("sig_missing", status)
        candidates, public = _candidates(signature, status, bool(self._signers), bool(self._keys))
        check_id(message_id, b".", status)
        return message_id, stamp, candidates, public

    def _match_either(
        self, now_us: int, signed: tuple[bytes, ...], candidates: list[bytes], public: list[bytes], status: int
    ) -> tuple[str, str | None]:
        """Which secret or which public key made one of the signatures, and by which algorithm."""
        try:
            return matching_key(self._keys, now_us, b"".join(signed), public, status), _ALGORITHM_V1A
        except Refused:
            if not candidates:
                raise
        return matching_secret(self._signers, now_us, signed, encode_base64, candidates, status), None


def _candidates(header: bytes, status: int, shared: bool, asymmetric: bool) -> tuple[list[bytes], list[bytes]]:
    """The ``v1`` texts and the ``v1a`` signatures in the header, of the versions for which there is a key. Raises
    ``Refused`` (``sig_malformed``) when any part of it is not ``version,text``, when a signature that is looked at is
    not exactly base64 of its length, or when there are none or too many."""
    if shared and (alone := _ONE_V1.fullmatch(header)) is not None:
        # One signature, as nearly every sender sends it.
        return [alone[1]], []
    if len(header) > SIGNATURE_HEADER_CAP_BYTES:
        raise unauth("sig_malformed", status)
    parts = header.split(b" ")
    if len(parts) > CANDIDATES_CAP:
        raise unauth("sig_malformed", status)
    candidates: list[bytes] = []
    public: list[bytes] = []
    for part in parts:
        version, comma, text = part.partition(b",")
        if not comma or not version:
            raise unauth("sig_malformed", status)
        if version == b"v1" and shared:
            if not well_formed(text, 32, base64=True):
                raise unauth("sig_malformed", status)
            candidates.append(text)
        elif version == b"v1a" and asymmetric:
            raw = decode_signature(text, base64=True)
            if raw is None or len(raw) != ED25519_SIGNATURE_BYTES:
                raise unauth("sig_malformed", status)
            public.append(raw)
    if not candidates and not public:
        raise unauth("sig_malformed", status)
    return candidates, public


def build(materials: Materials) -> StandardWebhooks:
    """The verifier of one provider. Raises ``ConfigInvalid`` for settings of another kind."""
    settings = materials.settings
    fixed_scheme(settings)
    if settings.large_body_limit_bytes is not None and any(
        isinstance(one.key, PublicBytes) for one in materials.secrets
    ):
        raise ConfigInvalid(
            "a public key cannot prove a body that is not held: ed25519 reads what is signed twice",
            cure="Give a shared key, whsec_, or leave it out.",
            key=key_of(settings, "large_body_limit_bytes"),
        )
    return StandardWebhooks(materials.settings, materials.secrets, materials.subject)


def sign_v1(key: bytes, message_id: str, at_s: int, body: bytes) -> str:
    """The text of one ``v1`` signature."""
    return "v1," + encode_base64(hmac.digest(key, f"{message_id}.{at_s}.".encode() + body, "sha256")).decode()


def sign(signing: Signing) -> Signed:
    """Headers as the reference library sets them. ``options``: ``id``, ``prefix`` (``webhook`` or ``svix``), ``beside``
    (another signature in front). A secret that is a private key gives ``v1a``."""
    message_id, prefix = str(signing.options.get("id", "msg_1")), str(signing.options.get("prefix", "webhook"))
    at_s = signing.at_us // 1_000_000
    if signing.secret.startswith("whsec_"):
        text = sign_v1(key_from(signing.secret.encode()), message_id, at_s, signing.body)
    else:
        raw = ed25519_private(signing.secret).sign(f"{message_id}.{at_s}.".encode() + signing.body)
        text = "v1a," + encode_base64(raw).decode()
    if beside := signing.options.get("beside"):
        text = f"{beside} {text}"
    headers = [(f"{prefix}-id", message_id), (f"{prefix}-timestamp", str(at_s)), (f"{prefix}-signature", text)]
    return headers, signing.body


KIND = Kind(
    name="standard-webhooks",
    about=About(
        title="Standard Webhooks and Svix",
        url="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        headers=("webhook-id", "webhook-timestamp", "webhook-signature", "or the same with svix-"),
        signed="`{id}.{timestamp}.{body}`",
        algorithm="HMAC-SHA256 (`v1`) or ed25519 (`v1a`), base64",
        credential="`whsec_` and the shared key, or `whpk_` and the public key, in base64",
        type="the body's `type`",
        dedupe="the signed `webhook-id`, for 7 days",
        time="`webhook-timestamp`",
        example="""\
shop:
  kind: standard-webhooks
  secrets:
    - {secret_id: shop-2026, ref: "env:SHOP_SECRET"}
  subject: .data.order_id
""",
        retries="over days, each signed anew with the same identity",
        traps=(
            "Both sets of headers in one request are refused: two readers could take two messages from it.",
            "A `v1` counts only where there is a `whsec_`, a `v1a` only where there is a `whpk_`.",
        ),
    ),
    build=build,
    whole=lambda settings: "" if settings.type is not None else "its type stands in the body, unless type is set",
    key_from=lambda _: key_from,
    sign=sign,
)
