"""Shopify (https://shopify.dev/docs/apps/build/webhooks/subscribe/https).

``X-Shopify-Hmac-SHA256``: base64 of HMAC-SHA256 over the body, keyed with the app's client secret. Nothing else is
signed: neither a time nor the topic nor an identity, so repeats are recognised by the body.
"""

from __future__ import annotations

from functools import partial

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers
from rco.bridge.decode import decode_json
from rco.bridge.decompression import Expand
from rco.bridge.forming import UNSIGNED_TIME_HORIZON_S, Forming, named_type
from rco.bridge.kind import About, Kind, Materials, never, streams
from rco.bridge.passing import Kept, Passing, Proven
from rco.bridge.rules import fixed_scheme
from rco.bridge.signature import (
    TRACEPARENT,
    encode_base64,
    gather,
    matching_secret,
    signers,
    trace_of,
    unauth,
    uuid_text,
    well_formed,
)
from rco.errors import Reason, Refused
from rco.model.delivery import Delivery

__all__ = ["KIND", "Shopify"]

KEY_MIN_BYTES = 16
_SIGNATURE, _TOPIC, _ID = b"x-shopify-hmac-sha256", b"x-shopify-topic", b"x-shopify-webhook-id"
_WANTED = frozenset((_SIGNATURE, _TOPIC, _ID, TRACEPARENT))
_TOPIC_CHARS = b"abcdefghijklmnopqrstuvwxyz0123456789_/"


def key_from(text: bytes) -> bytes:
    """The client secret as it is shown. Raises ``ValueError``."""
    if len(text) < KEY_MIN_BYTES:
        raise ValueError(f"it has {len(text)} characters; a client secret has at least 32")
    return text


class Shopify:
    """Verifies one Shopify app."""

    __slots__ = ("_claims", "_forming", "_signers", "_status", "_type")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        fixed_scheme(settings)
        self._claims, self._signers = Claims(settings.name), signers(materials.secrets, "sha256")
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "shopify:hmac-sha256", materials.subject, UNSIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        signature = self._candidate(found)
        secret_id = matching_secret(self._signers, now_us, (body,), encode_base64, (signature,), status)
        content = body if expand is None else expand(body)
        data = decode_json(content)
        claim = self._claims.of_bytes(body)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=uuid_text(found.get(_ID, b"")) or claim.hex(),
            event_type=self._type or _type(found.get(_TOPIC, b"")),
            time_us=now_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """See ``LargeVerifier.begin``."""
        found = gather(headers, _WANTED)
        return Passing(
            self._signers,
            now_us=now_us,
            length_bytes=length_bytes,
            claims=self._claims,
            encode=encode_base64,
            candidates=(self._candidate(found),),
            status=self._status,
            form=partial(self._large, found, now_us, corr_id),
        )

    def _large(self, found: dict[bytes, bytes], now_us: int, corr_id: str, proven: Proven, kept: Kept) -> Delivery:
        return self._forming.large(
            proven,
            kept,
            event_id=uuid_text(found.get(_ID, b"")),
            event_type=self._type or _type(found.get(_TOPIC, b"")),
            time_us=now_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
        )

    def _candidate(self, found: dict[bytes, bytes]) -> bytes:
        signature = found.get(_SIGNATURE)
        if not signature:
            raise unauth("sig_missing", self._status)
        if not well_formed(signature, 32, base64=True):
            raise unauth("sig_malformed", self._status)
        return signature


def _type(topic: bytes) -> str:
    if not topic:
        raise Refused(Reason.MALFORMED, "type_missing")
    if len(topic) > 128 or topic.translate(None, _TOPIC_CHARS):
        raise Refused(Reason.MALFORMED, "type_malformed")
    return named_type("shopify.", topic.decode("ascii").replace("/", "."))


KIND = Kind(
    name="shopify",
    signs_time=never,
    about=About(
        title="Shopify",
        url="https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        headers=("X-Shopify-Hmac-SHA256", "X-Shopify-Topic", "X-Shopify-Webhook-Id"),
        signed="`{body}`",
        algorithm="HMAC-SHA256, base64",
        credential="the app's client secret",
        type="`shopify.` and `X-Shopify-Topic` with dots, e.g. `shopify.orders.create`",
        dedupe="the body, for 30 days",
        time="none",
        example="""\
shopify:
  kind: shopify
  secrets: [{secret_id: app-2026, ref: "env:SHOPIFY_CLIENT_SECRET"}]
  subject: .id
""",
        retries="8 times in 4 hours, then the subscription is removed; 1 s to connect, 5 s in all",
        traps=(
            "Topic and webhook id are not signed: who replays can edit them, so repeats are recognised by the body.",
            "After a rotation Shopify may sign with the old secret for up to an hour: name both.",
        ),
    ),
    build=Shopify,
    key_from=lambda _: key_from,
    whole=streams,
)
