"""GitLab (https://docs.gitlab.com/user/project/integrations/webhooks).

Two proofs. A *signing token* (``whsec_...``) signs as Standard Webhooks do. A *secret token* is sent as it is in
``X-Gitlab-Token``: it proves who knows it and nothing about the body. A request that carries a signature is judged by
it alone; the token counts only where one is configured.
"""

from __future__ import annotations

import hmac
from typing import Any

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, UNSIGNED_TIME_HORIZON_S, Forming, named_type, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because, never
from rco.bridge.providers.standard_webhooks import key_from as signing_key_from
from rco.bridge.providers.standard_webhooks import sign_v1
from rco.bridge.rules import fixed_scheme
from rco.bridge.secrets import Secret, active
from rco.bridge.signature import (
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
from rco.model.delivery import Delivery

__all__ = ["KIND", "GitLab"]

TOKEN_MIN_BYTES = 16
TOKEN_CAP_BYTES = 1024
_ID, _TIME, _SIGNATURE = b"webhook-id", b"webhook-timestamp", b"webhook-signature"
_TOKEN = b"x-gitlab-token"
_WANTED = frozenset((_ID, _TIME, _SIGNATURE, _TOKEN, TRACEPARENT))


class _Token(bytes):
    """A secret token, as opposed to the key of a signing token: compared, never used as a key."""

    __slots__ = ()


def key_from(text: bytes) -> bytes:
    """The key behind ``whsec_``, or the secret token as it is. Raises ``ValueError``."""
    if text.startswith(b"whsec_"):
        return signing_key_from(text)
    if not TOKEN_MIN_BYTES <= len(text) <= TOKEN_CAP_BYTES:
        raise ValueError(f"it has {len(text)} bytes; use {TOKEN_MIN_BYTES} to {TOKEN_CAP_BYTES}")
    return _Token(text)


class GitLab:
    """Verifies one GitLab webhook."""

    __slots__ = (
        "_age_s",
        "_claims",
        "_forming",
        "_signers",
        "_skew_s",
        "_status",
        "_token_forming",
        "_tokens",
        "_type",
    )

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        fixed_scheme(settings)
        self._claims = Claims(settings.name)
        self._signers = signers(tuple(one for one in materials.secrets if not isinstance(one.key, _Token)), "sha256")
        self._tokens = tuple(one for one in materials.secrets if isinstance(one.key, _Token))
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "gitlab-v1:hmac-sha256", materials.subject, SIGNED_TIME_HORIZON_S)
        self._token_forming = Forming(settings, "gitlab:token", materials.subject, UNSIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        if self._signers and (_SIGNATURE in found or not self._tokens):
            forming, time_us = self._forming, self._time(found, status)
            secret_id = self._signed(found, body, now_us, status)
            check_window(time_us, now_us, self._age_s, self._skew_s)
            claim = self._claims.of_id(found[_ID])
            event_id = found[_ID].decode("ascii")
        else:
            token = found.get(_TOKEN)
            if not token:
                raise unauth("sig_missing", status)
            forming, time_us, secret_id = (
                self._token_forming,
                now_us,
                _matching_token(self._tokens, now_us, token, status),
            )
            claim = self._claims.of_bytes(body)
            event_id = claim.hex()
        content = body if expand is None else expand(body)
        data = decode_object(content)
        return forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=event_id,
            event_type=self._type or _type(data),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def _time(self, found: dict[bytes, bytes], status: int) -> int:
        if not found.get(_ID) or not found.get(_TIME) or not found.get(_SIGNATURE):
            raise unauth("sig_missing", status)
        check_id(found[_ID], b".", status)
        return parse_timestamp_s(found[_TIME], status) * 1_000_000

    def _signed(self, found: dict[bytes, bytes], body: bytes, now_us: int, status: int) -> str:
        version, _, text = found[_SIGNATURE].partition(b",")
        if version != b"v1" or not well_formed(text, 32, base64=True):
            raise unauth("sig_malformed", status)
        signed = (b"%b.%b." % (found[_ID], found[_TIME]), body)
        return matching_secret(self._signers, now_us, signed, encode_base64, (text,), status)


def _matching_token(tokens: tuple[Secret, ...], now_us: int, token: bytes, status: int) -> str:
    matched, tried = "", False
    for one in tokens:
        if active(one, now_us):
            tried = True
            if hmac.compare_digest(one.key, token) and not matched:
                matched = one.secret_id
    if matched:
        return matched
    raise unauth("sig_mismatch" if tried else "no_active_secret", status)


def _type(data: dict[str, Any]) -> str:
    field = "object_kind" if "object_kind" in data else "event_name"
    return named_type("gitlab.", type_of(data, field))


def sign(signing: Signing) -> Signed:
    """Headers as GitLab sets them: a signature for a signing token, the token itself otherwise."""
    if not signing.secret.startswith("whsec_"):
        return [("X-Gitlab-Token", signing.secret)], signing.body
    message_id, at_s = (
        str(signing.options.get("id", "72d3162e-cc78-11e3-81ab-4c9367dc0958")),
        signing.at_us // 1_000_000,
    )
    text = sign_v1(signing_key_from(signing.secret.encode()), message_id, at_s, signing.body)
    headers = [("webhook-id", message_id), ("webhook-timestamp", str(at_s)), ("webhook-signature", text)]
    return headers, signing.body


KIND = Kind(
    name="gitlab",
    signs_time=never,  # a plain token proves none, and which it is shows only when it is opened
    about=About(
        title="GitLab",
        url="https://docs.gitlab.com/user/project/integrations/webhooks",
        headers=("webhook-id", "webhook-timestamp", "webhook-signature", "or X-Gitlab-Token"),
        signed="`{id}.{timestamp}.{body}` with a signing token; nothing with a secret token",
        algorithm="HMAC-SHA256, base64, after `v1,`; a secret token is compared in constant time",
        credential="the signing token, `whsec_…`, or the secret token, at least 16 characters",
        type="`gitlab.` and the body's `object_kind`, e.g. `gitlab.merge_request`",
        dedupe="the signed `webhook-id`, for 7 days; with a secret token the body, for 30 days",
        time="`webhook-timestamp` with a signing token",
        example="""\
gitlab:
  kind: gitlab
  secrets: [{secret_id: hook-2026, ref: "env:GITLAB_SIGNING_TOKEN"}]
""",
        retries="a few times; an endpoint that keeps failing is switched off for a while, then for good",
        traps=(
            "A secret token proves nothing about the body and travels with every request: prefer a signing token.",
            "While both are configured, a request without a signature is judged by the token.",
        ),
    ),
    build=GitLab,
    whole=because("what happened stands in the body"),
    key_from=lambda _: key_from,
    sign=sign,
)
