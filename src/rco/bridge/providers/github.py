"""GitHub (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries).

``X-Hub-Signature-256: sha256=<hex of HMAC-SHA256(secret, body)>``. The SHA-1 header beside it is never looked at.
Neither a time nor the delivery's identity is signed, so repeats are recognised by the body itself.
"""

from __future__ import annotations

import binascii
from functools import partial
from typing import Any

from rco.bridge.claim import Claims
from rco.bridge.contract import Expression, Headers, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import UNSIGNED_TIME_HORIZON_S, Forming
from rco.bridge.kind import About, Kind, Materials, never, streams
from rco.bridge.passing import Kept, Passing, Proven
from rco.bridge.rules import fixed_scheme
from rco.bridge.secrets import Secret
from rco.bridge.signature import (
    TRACEPARENT,
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

__all__ = ["KIND", "GitHub", "key_from"]

KEY_MIN_BYTES = 16
_SIGNATURE, _EVENT, _DELIVERY = b"x-hub-signature-256", b"x-github-event", b"x-github-delivery"
_WANTED = frozenset((_SIGNATURE, _EVENT, _DELIVERY, TRACEPARENT))
_EVENT_CHARS = b"abcdefghijklmnopqrstuvwxyz0123456789_"
ACTION_CAP_CHARS = 128


def key_from(text: bytes) -> bytes:
    """The secret as it is. Raises ``ValueError`` when it is too short to be one."""
    if len(text) < KEY_MIN_BYTES:
        raise ValueError(f"it has {len(text)} bytes; use at least {KEY_MIN_BYTES}")
    return text


class GitHub:
    """Verifies one GitHub webhook."""

    __slots__ = ("_claims", "_forming", "_signers", "_status", "_type")

    def __init__(self, settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> None:
        self._claims, self._signers = Claims(settings.name), signers(secrets, "sha256")
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "github:hmac-sha256", subject, UNSIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        candidate = self._candidate(found)
        secret_id = matching_secret(self._signers, now_us, (body,), binascii.hexlify, (candidate,), status)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        claim = self._claims.of_bytes(body)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=uuid_text(found.get(_DELIVERY, b"")) or claim.hex(),
            event_type=self._type or _type(found.get(_EVENT, b""), data),
            time_us=now_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """See ``LargeVerifier.begin``. What stands in the body is not looked at: the type is without its action."""
        found = gather(headers, _WANTED)
        return Passing(
            self._signers,
            now_us=now_us,
            length_bytes=length_bytes,
            claims=self._claims,
            encode=binascii.hexlify,
            candidates=(self._candidate(found),),
            status=self._status,
            form=partial(self._large, found, now_us, corr_id),
        )

    def _large(self, found: dict[bytes, bytes], now_us: int, corr_id: str, proven: Proven, kept: Kept) -> Delivery:
        return self._forming.large(
            proven,
            kept,
            event_id=uuid_text(found.get(_DELIVERY, b"")),
            event_type=self._type or _type(found.get(_EVENT, b""), {}),
            time_us=now_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
        )

    def _candidate(self, found: dict[bytes, bytes]) -> bytes:
        signature = found.get(_SIGNATURE)
        if not signature:
            raise unauth("sig_missing", self._status)
        candidate = signature[7:]
        if signature[:7] != b"sha256=" or not well_formed(candidate, 32, base64=False):
            raise unauth("sig_malformed", self._status)
        return candidate


def _type(event: bytes, data: dict[str, Any]) -> str:
    if not event:
        raise Refused(Reason.MALFORMED, "type_missing")
    if len(event) > 64 or event.translate(None, _EVENT_CHARS):
        raise Refused(Reason.MALFORMED, "type_malformed")
    name = "github." + event.decode("ascii")
    action = data.get("action")
    if type(action) is str and 0 < len(action) <= ACTION_CAP_CHARS and action.isascii() and action.isprintable():
        return f"{name}.{action}"
    return name


def build(materials: Materials) -> GitHub:
    """The verifier of one provider. Raises ``ConfigInvalid`` for settings of another kind."""
    fixed_scheme(materials.settings)
    return GitHub(materials.settings, materials.secrets, materials.subject)


KIND = Kind(
    name="github",
    signs_time=never,
    about=About(
        title="GitHub",
        url="https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries",
        headers=("X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery"),
        signed="`{body}`",
        algorithm="HMAC-SHA256, hexadecimal, after `sha256=`",
        credential="the webhook's secret, at least 16 characters",
        type="`github.EVENT.ACTION` from `X-GitHub-Event` and the body's `action`",
        dedupe="the body, for 30 days",
        time="none",
        example="""\
forge:
  kind: github
  large_body_limit: 25MiB
  secrets: [{secret_id: forge-2026, ref: "env:FORGE_SECRET"}]
""",
        retries="never by itself; redeliver by hand or through its API",
        traps=(
            (
                "`X-GitHub-Delivery` and `X-GitHub-Event` are not signed: who replays can edit them, so repeats are"
                " recognised by the body."
            ),
            (
                "Bodies reach 25 MB; the default limit is 1 MiB. With `large_body_limit` larger ones are streamed to"
                " the content store, and their type is `github.EVENT` without the action."
            ),
            "The SHA-1 header beside it is never looked at.",
        ),
    ),
    build=build,
    key_from=lambda _: key_from,
    redelivers=False,
    whole=streams,
)
