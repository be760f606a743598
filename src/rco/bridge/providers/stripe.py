"""Stripe (https://docs.stripe.com/webhooks#verify-manually).

``Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX]`` over ``t "." body`` with HMAC-SHA256. The key is the secret's whole
text, ``whsec_`` included. Two ``v1`` stand there while Stripe rolls a secret; ``v0`` is for tests and never looked at.
"""

from __future__ import annotations

import binascii
import hmac

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.rules import fixed_scheme
from rco.bridge.signature import (
    SIGNATURE_HEADER_CAP_BYTES,
    TRACEPARENT,
    check_window,
    gather,
    identity_in,
    matching_secret,
    parse_timestamp_s,
    signers,
    trace_of,
    unauth,
    well_formed,
)
from rco.model.delivery import Delivery

__all__ = ["KIND", "Stripe"]

CANDIDATES_CAP = 8
_HEADER = b"stripe-signature"
_WANTED = frozenset((_HEADER, TRACEPARENT))


def key_from(text: bytes) -> bytes:
    """The secret as it is shown. Raises ``ValueError``."""
    if not text.startswith(b"whsec_") or len(text) < 22:
        raise ValueError("it does not begin with whsec_, or is too short; take the endpoint's signing secret")
    return text


class Stripe:
    """Verifies one Stripe endpoint."""

    __slots__ = ("_age_s", "_claims", "_forming", "_signers", "_skew_s", "_status", "_type")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        fixed_scheme(settings)
        self._claims, self._signers = Claims(settings.name), signers(materials.secrets, "sha256")
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "stripe-v1:hmac-sha256", materials.subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        header = found.get(_HEADER)
        if not header:
            raise unauth("sig_missing", status)
        stamp, candidates = _read(header, status)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        secret_id = matching_secret(self._signers, now_us, (stamp + b".", body), binascii.hexlify, candidates, status)
        check_window(time_us, now_us, self._age_s, self._skew_s)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        event_id = identity_in(data, "id")
        claim = self._claims.of_id_or_bytes(event_id.encode(), body)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=event_id or claim.hex(),
            event_type=self._type or type_of(data, "type"),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )


def _read(header: bytes, status: int) -> tuple[bytes, list[bytes]]:
    """The one time and the ``v1`` signatures. Raises ``Refused`` (``sig_malformed``) for anything that is not exactly
    that, two times among it."""
    stamps: list[bytes] = []
    candidates: list[bytes] = []
    if len(header) > SIGNATURE_HEADER_CAP_BYTES:
        raise unauth("sig_malformed", status)
    for part in header.split(b","):
        name, equals, text = part.partition(b"=")
        if not equals:
            raise unauth("sig_malformed", status)
        if name == b"t":
            stamps.append(text)
        elif name == b"v1":
            if not well_formed(text, 32, base64=False):
                raise unauth("sig_malformed", status)
            candidates.append(text)
    if len(stamps) != 1 or not 1 <= len(candidates) <= CANDIDATES_CAP:
        raise unauth("sig_malformed", status)
    return stamps[0], candidates


def sign(signing: Signing) -> Signed:
    """The header as Stripe sets it. ``options``: ``beside`` (another ``v1`` in front)."""
    at_s = signing.at_us // 1_000_000
    text = hmac.digest(signing.secret.encode(), f"{at_s}.".encode() + signing.body, "sha256").hex()
    beside = f"v1={signing.options['beside']}," if "beside" in signing.options else ""
    return [("Stripe-Signature", f"t={at_s},{beside}v1={text}")], signing.body


KIND = Kind(
    name="stripe",
    about=About(
        title="Stripe",
        url="https://docs.stripe.com/webhooks",
        headers=("Stripe-Signature",),
        signed="`{timestamp}.{body}`",
        algorithm="HMAC-SHA256, hexadecimal, as `v1=`",
        credential="the endpoint's signing secret, `whsec_…`, as it is shown",
        type="the body's `type`, e.g. `invoice.paid`",
        dedupe="the event's `id`, which is signed with the body, for 7 days",
        time="`t=`",
        example="""\
stripe:
  kind: stripe
  secrets: [{secret_id: stripe-2026, ref: "env:STRIPE_SECRET"}]
  subject: .data.object.id
""",
        retries="for up to three days, each signed anew",
        traps=(
            "The key is the text with `whsec_`, not the bytes behind it.",
            "A time in the future is refused too; Stripe's own libraries let it pass.",
            "Two `t=` are refused: libraries differ in which they take.",
        ),
    ),
    build=Stripe,
    whole=because("the type and the identity by which a repeat is recognised stand in the body"),
    key_from=lambda _: key_from,
    sign=sign,
)
