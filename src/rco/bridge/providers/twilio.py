"""Twilio (https://www.twilio.com/docs/usage/webhooks/webhooks-security).

``X-Twilio-Signature``: base64 of an HMAC over the public address, followed for a form by each name and value in order
of names, and for JSON by nothing but a query ``bodySHA256``. HMAC-SHA1 with the auth token, or what
``X-Twilio-Webhooks-Signature-Settings`` says with a shared key.

The address is configured, never taken from the request: behind a proxy the request does not know it, and who sends it
could choose it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Answered, Headers, Reply
from rco.bridge.decode import decode_json
from rco.bridge.decompression import Expand
from rco.bridge.forming import UNSIGNED_TIME_HORIZON_S, Forming, named_type
from rco.bridge.forms import FORM, Pairs, decode_form, form_data, is_form
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because, never
from rco.bridge.rules import key_of, read_scheme
from rco.bridge.signature import (
    TRACEPARENT,
    Signer,
    encode_base64,
    gather,
    matching_secret,
    signers,
    trace_of,
    unauth,
    well_formed,
)
from rco.errors import ConfigInvalid, Reason, Refused

__all__ = ["KIND", "Twilio", "signed_text"]

KEY_MIN_BYTES = 16
DIGEST_BYTES = {"sha1": 20, "sha256": 32}
_ALGORITHMS = {b"HMAC_SHA1": "sha1", b"HMAC_SHA256": "sha256"}
_SIGNATURE, _SETTINGS, _MEDIA = b"x-twilio-signature", b"x-twilio-webhooks-signature-settings", b"content-type"
_WANTED = frozenset((_SIGNATURE, _SETTINGS, _MEDIA, TRACEPARENT))
_DEFAULT_PORTS = {"https": 443, "http": 80}
_NOTHING = Reply(status=204)


class TwilioScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``public_url`` is the address as it stands at Twilio, with its query if it has one; ``algorithms`` may sign."""

    public_url: str
    algorithms: list[str] = msgspec.field(default_factory=lambda: ["sha1", "sha256"])


def key_from(text: bytes) -> bytes:
    """The auth token or the shared key as it is. Raises ``ValueError``."""
    if len(text) < KEY_MIN_BYTES:
        raise ValueError(f"it has {len(text)} characters; an auth token has 32")
    return text


class Twilio:
    """Verifies one Twilio webhook."""

    __slots__ = ("_claims", "_forming", "_signers", "_status", "_type", "_urls")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        scheme = read_scheme(settings, TwilioScheme)
        if not scheme.algorithms or not set(scheme.algorithms) <= set(DIGEST_BYTES):
            raise ConfigInvalid(
                f"{', '.join(scheme.algorithms) or 'nothing'} is not among sha1, sha256",
                key=key_of(settings, "scheme", "algorithms"),
            )
        try:
            self._urls = _both(scheme.public_url)
        except ValueError as error:
            raise ConfigInvalid(
                str(error), cure="Write the address that Twilio calls.", key=key_of(settings, "scheme", "public_url")
            ) from None
        self._claims = Claims(settings.name)
        self._signers: dict[str, tuple[Signer, ...]] = {
            name: signers(materials.secrets, name) for name in scheme.algorithms
        }
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "twilio:hmac", materials.subject, UNSIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Answered:
        """See ``Verifier.verify``. A form is taken apart before the signature holds, as its parts are what is signed;
        one that cannot be is a bad signature."""
        if expand is not None:
            # What is signed are parts of the plain body, so it would have to be expanded before anything is proven.
            raise Refused(Reason.MEDIA_TYPE, "content_encoding")
        status = self._status
        found = gather(headers, _WANTED)
        signature = found.get(_SIGNATURE)
        if not signature:
            raise unauth("sig_missing", status)
        algorithm = _algorithm(found.get(_SETTINGS, b""))
        able = self._signers.get(algorithm)
        if able is None or not well_formed(signature, DIGEST_BYTES[algorithm], base64=True):
            raise unauth("sig_malformed", status)
        form = is_form(found.get(_MEDIA))
        pairs = _pairs(body, status) if form else []
        secret_id, signed = self._match(able, now_us, signature, pairs if form else None, body, status)
        data: Any = form_data(pairs) if form else decode_json(body)
        claim = self._claims.of_bytes(signed if form else body)
        delivery = self._forming.delivery(
            data=data,
            body=body,
            payload=msgspec.json.encode(data) if form else None,
            event_id=claim.hex(),
            event_type=self._type or _type(data),
            time_us=now_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
            sig_alg=f"twilio:hmac-{algorithm}",
        )
        return Answered(delivery=delivery, reply=_NOTHING)

    def _match(
        self, able: tuple[Signer, ...], now_us: int, signature: bytes, pairs: Pairs | None, body: bytes, status: int
    ) -> tuple[str, bytes]:
        """The secret that matches, and what was signed after the address. Twilio signs with the port at times and
        without it at others."""
        refused: Refused | None = None
        for url in self._urls:
            signed = signed_text(url, pairs, body)
            try:
                return matching_secret(able, now_us, (signed,), encode_base64, (signature,), status), signed[len(url) :]
            except Refused as error:
                refused = error
        try:
            raise refused or unauth("sig_mismatch", status)
        finally:
            # It knows this frame, and so the body: see ``rco.server.ingress``.
            del refused


def signed_text(url: str, pairs: Pairs | None, body: bytes) -> bytes:
    """What Twilio signs: for a form the address with each name and value, in the order of names and then of values,
    equal pairs once; for anything else the address with the body's SHA-256 in its query."""
    if pairs is None:
        mark = "&" if "?" in url else "?"
        return f"{url}{mark}bodySHA256={hashlib.sha256(body).hexdigest()}".encode()
    return (url + "".join(name + value for name, value in sorted(set(pairs)))).encode()


def _pairs(body: bytes, status: int) -> Pairs:
    try:
        # Equal pairs are signed once, so they count once.
        pairs = list(dict.fromkeys(decode_form(body)))
    except ValueError:
        raise unauth("sig_mismatch", status) from None
    # A signature over JSON would also hold for a form that spells out its query.
    if any("bodySHA256" in name for name, _ in pairs):
        raise unauth("sig_mismatch", status)
    return pairs


def _algorithm(header: bytes) -> str:
    """The algorithm that the settings name; SHA-1 where they name none, nothing for one that is not known."""
    for part in header.split(b","):
        name, equals, value = part.strip().partition(b"=")
        if equals and name == b"algorithm":
            return _ALGORITHMS.get(value.strip(), "")
    return "sha1"


def _both(url: str) -> tuple[str, ...]:
    """The address without and with its port, in this order. Raises ``ValueError``."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("it is not an http or https address without user and fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it holds characters that an address cannot")
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = parts.netloc.rpartition(":")[0] if parts.port is not None else parts.netloc
    return tuple(parts._replace(netloc=netloc).geturl() for netloc in (host, f"{host}:{port}"))


def _type(data: Any) -> str:
    if isinstance(data, dict):
        for field, name in (
            ("EventType", ""),
            ("MessageStatus", "message."),
            ("CallStatus", "call."),
            ("SmsStatus", "message."),
        ):
            value = data.get(field)
            if type(value) is str and value:
                return named_type("twilio.", name + value)
    return "twilio.event"


def sign(signing: Signing) -> Signed:
    """The headers as Twilio sets them. ``options``: ``media`` (default: a form), ``algorithm``, ``url``."""
    media = str(signing.options.get("media", FORM))
    url = str(signing.options.get("url") or read_scheme(signing.settings, TwilioScheme).public_url)
    algorithm = str(signing.options.get("algorithm", "sha1"))
    signed = signed_text(url, decode_form(signing.body) if media == FORM else None, signing.body)
    digest = hmac.digest(signing.secret.encode(), signed, algorithm)
    headers = [("Content-Type", media), ("X-Twilio-Signature", encode_base64(digest).decode())]
    if algorithm != "sha1":
        headers.append(("X-Twilio-Webhooks-Signature-Settings", f"key=WK1,algorithm=HMAC_{algorithm.upper()}"))
    return headers, signing.body


KIND = Kind(
    name="twilio",
    signs_time=never,
    about=About(
        title="Twilio",
        url="https://www.twilio.com/docs/usage/webhooks/webhooks-security",
        headers=("X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings"),
        signed="the public address and each form field's name and value; for JSON the address with `bodySHA256`",
        algorithm="HMAC-SHA1 with the auth token, or HMAC-SHA256 with a shared key; base64",
        credential="the account's auth token, or a shared key",
        type="`twilio.` and `EventType`, `message.STATUS` or `call.STATUS`; else `twilio.event`",
        dedupe="what is signed after the address, for 30 days",
        time="none",
        example="""\
phone:
  kind: twilio
  secrets: [{secret_id: token-2026, ref: "env:TWILIO_AUTH_TOKEN"}]
  scheme: {public_url: "https://hooks.example.com/webhooks/phone"}
""",
        answer="204, as Twilio would read a body as TwiML",
        retries="none, unless the address asks for it (`#rc=`)",
        scheme=(
            ("public_url", "the address as it stands at Twilio, with its query if it has one"),
            ("algorithms", "which may sign: `sha1`, `sha256`; default both"),
        ),
        traps=(
            "The address is configured and never rebuilt from `Host` or `X-Forwarded-*`, which anybody can write.",
            (
                "Names and values are signed without a mark between them, so a body can be cut differently under the"
                " same signature; all its readings are one delivery."
            ),
            "Names may repeat and hold brackets; the raw pairs are verified.",
            "HMAC-SHA1 is not broken as a MAC; leave `sha1` out of `algorithms` once all webhooks use a shared key.",
        ),
    ),
    build=Twilio,
    whole=because("its signature is over the fields of the form"),
    redelivers=False,
    key_from=lambda _: key_from,
    content_types=(FORM, "application/json"),
)
