"""Standard Webhooks, version 1 (https://www.standardwebhooks.com), and Svix, which uses it under other header names.

``HMAC-SHA256(key, id "." timestamp "." body)``, several signatures in one header. Signatures of other versions
(``v1a``, ed25519) are passed over.
"""

from __future__ import annotations

from rco.bridge.claim import Claims
from rco.bridge.contract import Expression, Headers, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.rules import key_of
from rco.bridge.secrets import Secret, open_base64
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

__all__ = ["CANDIDATES_CAP", "StandardWebhooks", "build", "key_from"]

CANDIDATES_CAP = 16
KEY_BYTES = (24, 64)
_PREFIX = b"whsec_"
_NAMES = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_SVIX_NAMES = (b"svix-id", b"svix-timestamp", b"svix-signature")
_WANTED = frozenset((*_NAMES, *_SVIX_NAMES, TRACEPARENT))
_SVIX = frozenset(_SVIX_NAMES)


def key_from(text: bytes) -> bytes:
    """The key behind ``whsec_`` and base64: 24 to 64 bytes. Raises ``ValueError``."""
    if not text.startswith(_PREFIX):
        raise ValueError("it does not begin with whsec_")
    key = open_base64(text[len(_PREFIX) :])
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise ValueError(f"it has {len(key)} bytes; Standard Webhooks asks for {KEY_BYTES[0]} to {KEY_BYTES[1]}")
    return key


class StandardWebhooks:
    """Verifies one provider's Standard Webhooks."""

    __slots__ = ("_age_s", "_claims", "_field", "_forming", "_signers", "_skew_s", "_status", "_type")

    def __init__(self, settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> None:
        self._claims, self._signers = Claims(settings.name), signers(secrets, "sha256")
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status = settings.bad_signature_status
        self._type, self._field = settings.type, settings.type_field
        self._forming = Forming(settings, "standard-webhooks-v1:hmac-sha256", subject, SIGNED_TIME_HORIZON_S)

    def verify(self, headers: Headers, body: bytes, now_us: int, corr_id: str) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        names = _NAMES
        if not _SVIX.isdisjoint(found):
            names = _SVIX_NAMES
            if not found.keys().isdisjoint(_NAMES):
                raise Refused(Reason.MALFORMED, "sig_mixed")
        message_id, stamp, signature = (found.get(name) for name in names)
        if not message_id or not stamp or not signature:
            raise unauth("sig_missing", status)
        candidates = _candidates(signature, status)
        check_id(message_id, b".", status)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        secret_id = matching_secret(
            self._signers, now_us, (b"%b.%b." % (message_id, stamp), body), encode_base64, candidates, status
        )
        check_window(time_us, now_us, self._age_s, self._skew_s)
        data = decode_object(body)
        return self._forming.delivery(
            data=data,
            body=body,
            event_id=message_id.decode("ascii"),
            event_type=self._type or type_of(data, self._field),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=self._claims.of_id(message_id),
            secret_id=secret_id,
        )


def _candidates(header: bytes, status: int) -> list[bytes]:
    """The ``v1`` signatures in the header. Raises ``Refused`` (``sig_malformed``) when any part of it is not
    ``version,text``, when a ``v1`` is not the base64 of a digest, or when there are too many."""
    if len(header) > SIGNATURE_HEADER_CAP_BYTES:
        raise unauth("sig_malformed", status)
    parts = header.split(b" ")
    if len(parts) > CANDIDATES_CAP:
        raise unauth("sig_malformed", status)
    candidates = []
    for part in parts:
        version, comma, text = part.partition(b",")
        if not comma or not version:
            raise unauth("sig_malformed", status)
        if version == b"v1":
            if not well_formed(text, 32, base64=True):
                raise unauth("sig_malformed", status)
            candidates.append(text)
    if not candidates:
        raise unauth("sig_malformed", status)
    return candidates


def build(settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> StandardWebhooks:
    """The verifier of one provider. Raises ``ConfigInvalid`` for settings of another kind."""
    if settings.scheme is not None or settings.type_header is not None:
        raise ConfigInvalid(
            "scheme and type_header belong to kind hmac",
            cure="Leave them out: Standard Webhooks fixes its own headers.",
            key=key_of(settings, "scheme"),
        )
    return StandardWebhooks(settings, secrets, subject)
