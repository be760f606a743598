"""Slack (https://docs.slack.dev/authentication/verifying-requests-from-slack).

``X-Slack-Signature: v0=HEX`` over ``v0:TIMESTAMP:BODY`` with HMAC-SHA256. Events come as JSON, commands and
interactions as forms. The ``url_verification`` handshake is signed like everything else.
"""

from __future__ import annotations

import binascii
import hmac
from typing import Any

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Handshake, Headers, Reply
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, named_type, type_of
from rco.bridge.forms import FORM, decode_form, form_data, is_form
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.rules import fixed_scheme
from rco.bridge.signature import (
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
from rco.errors import Reason, Refused
from rco.model.delivery import Delivery

__all__ = ["KIND", "Slack"]

KEY_MIN_BYTES = 16
CHALLENGE_CAP_CHARS = 512
_SIGNATURE, _TIME, _MEDIA = b"x-slack-signature", b"x-slack-request-timestamp", b"content-type"
_WANTED = frozenset((_SIGNATURE, _TIME, _MEDIA, TRACEPARENT))


def key_from(text: bytes) -> bytes:
    """The signing secret as it is shown. Raises ``ValueError``."""
    if len(text) < KEY_MIN_BYTES:
        raise ValueError(f"it has {len(text)} characters; a signing secret has 32")
    return text


class Slack:
    """Verifies one Slack app."""

    __slots__ = ("_age_s", "_claims", "_forming", "_signers", "_skew_s", "_status", "_type")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        fixed_scheme(settings)
        self._claims, self._signers = Claims(settings.name), signers(materials.secrets, "sha256")
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "slack-v0:hmac-sha256", materials.subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery | Handshake:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        signature, stamp = found.get(_SIGNATURE), found.get(_TIME)
        if not signature or not stamp:
            raise unauth("sig_missing", status)
        candidate = signature[3:]
        if signature[:3] != b"v0=" or not well_formed(candidate, 32, base64=False):
            raise unauth("sig_malformed", status)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        secret_id = matching_secret(
            self._signers, now_us, (b"v0:%b:" % stamp, body), binascii.hexlify, (candidate,), status
        )
        check_window(time_us, now_us, self._age_s, self._skew_s)
        form = is_form(found.get(_MEDIA))
        content = body if expand is None else expand(body)
        data = _form(content) if form else decode_object(content)
        if not form and data.get("type") == "url_verification":
            return Handshake(name="url_verification", secret_id=secret_id, reply=_challenge(data))
        identity = identity_in(data, "event_id") or identity_in(data, "trigger_id")
        claim = self._claims.of_id_or_bytes(identity.encode(), b"%b:%b" % (stamp, body))
        return self._forming.delivery(
            data=data,
            body=body,
            payload=msgspec.json.encode(data) if form else content,
            event_id=identity or claim.hex(),
            event_type=self._type or _type(data),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )


def _form(body: bytes) -> dict[str, Any]:
    try:
        data = form_data(decode_form(body))
    except ValueError as error:
        raise Refused(Reason.MALFORMED, "form_invalid") from error
    payload = data.get("payload")
    # An interaction is one field of JSON; a command is the form itself.
    return decode_object(payload.encode()) if isinstance(payload, str) else data


def _challenge(data: dict[str, Any]) -> Reply:
    challenge = data.get("challenge")
    if type(challenge) is not str or not 0 < len(challenge) <= CHALLENGE_CAP_CHARS:
        raise Refused(Reason.MALFORMED, "challenge_malformed")
    return Reply(body=msgspec.json.encode({"challenge": challenge}))


def _type(data: dict[str, Any]) -> str:
    if "command" in data and "type" not in data:
        return "slack.command"
    inner = data.get("event")
    if data.get("type") == "event_callback" and type(inner) is dict:
        return named_type("slack.", type_of(inner, "type"))
    return named_type("slack.", type_of(data, "type"))


def sign(signing: Signing) -> Signed:
    """Headers as Slack sets them."""
    at_s = signing.at_us // 1_000_000
    text = hmac.digest(signing.secret.encode(), f"v0:{at_s}:".encode() + signing.body, "sha256").hex()
    return [("X-Slack-Request-Timestamp", str(at_s)), ("X-Slack-Signature", f"v0={text}")], signing.body


KIND = Kind(
    name="slack",
    about=About(
        title="Slack",
        url="https://docs.slack.dev/authentication/verifying-requests-from-slack",
        headers=("X-Slack-Signature", "X-Slack-Request-Timestamp"),
        signed="`v0:{timestamp}:{body}`",
        algorithm="HMAC-SHA256, hexadecimal, after `v0=`",
        credential="the app's signing secret",
        type="`slack.` and the event's type, the interaction's type, or `slack.command`",
        dedupe="`event_id` or `trigger_id` in the signed body, else time and body; for 7 days",
        time="`X-Slack-Request-Timestamp`",
        example="""\
slack:
  kind: slack
  secrets: [{secret_id: slack-app, ref: "env:SLACK_SIGNING_SECRET"}]
""",
        handshake="`url_verification`: the challenge is returned once its signature holds",
        retries="three times within about an hour; an answer is due in 3 s",
        traps=(
            "`X-Slack-Retry-Num` is not signed and not looked at.",
            "Commands and interactions are forms; their data is given as JSON.",
        ),
    ),
    build=Slack,
    whole=because("a handshake, the type and the identity stand in the body"),
    key_from=lambda _: key_from,
    content_types=("application/json", FORM),
    sign=sign,
)
