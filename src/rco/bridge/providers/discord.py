"""Discord (https://docs.discord.com/developers/interactions/overview).

``X-Signature-Ed25519`` (hexadecimal) over ``X-Signature-Timestamp`` and the body, with the application's key. Discord
probes the endpoint with bad signatures and takes the URL away unless they are answered with 401; a PING must be
answered with a PONG.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Answered, Handshake, Headers, Reply
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, Forming, named_type, type_of
from rco.bridge.kind import About, Kind, Materials, Signed, Signing, because
from rco.bridge.private_keys import ed25519_private
from rco.bridge.public_keys import (
    ED25519_KEY_BYTES,
    ED25519_SIGNATURE_BYTES,
    decode_signature,
    ed25519_keys,
    matching_key,
)
from rco.bridge.rules import key_of, read_scheme
from rco.bridge.secrets import open_hex
from rco.bridge.signature import (
    TRACEPARENT,
    check_window,
    gather,
    identity_in,
    parse_timestamp_s,
    trace_of,
    unauth,
    well_formed,
)
from rco.errors import ConfigInvalid, Reason, Refused

__all__ = ["KIND", "Discord"]

_SIGNATURE, _TIME = b"x-signature-ed25519", b"x-signature-timestamp"
_WANTED = frozenset((_SIGNATURE, _TIME, TRACEPARENT))
_SURFACES = ("interactions", "events")
_PONG = Reply(body=b'{"type":1}')
_NOTHING = Reply(status=204)
_LATER = b'{"type":5}'
# What kind of interaction it is, and what says "taken, an answer follows" to each.
_INTERACTIONS: dict[int, tuple[str, bytes]] = {
    2: ("application_command", _LATER),
    3: ("message_component", b'{"type":6}'),
    4: ("application_command_autocomplete", b'{"type":8,"data":{"choices":[]}}'),
    5: ("modal_submit", _LATER),
}


class DiscordScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``surface``: ``interactions`` or ``events`` (webhook events), which Discord signs alike and answers apart."""

    surface: str = "interactions"


def key_from(text: bytes) -> bytes:
    """The application's public key. Raises ``ValueError``."""
    key = open_hex(text)
    if len(key) != ED25519_KEY_BYTES:
        raise ValueError(f"it has {len(key)} bytes; the application's public key has {ED25519_KEY_BYTES}")
    return key


class Discord:
    """Verifies one Discord application."""

    __slots__ = ("_age_s", "_claims", "_events", "_forming", "_keys", "_skew_s", "_status", "_type")

    def __init__(self, materials: Materials) -> None:
        settings = materials.settings
        surface = read_scheme(settings, DiscordScheme).surface
        if surface not in _SURFACES:
            raise ConfigInvalid(
                f"{surface!r} is not one of {', '.join(_SURFACES)}", key=key_of(settings, "scheme", "surface")
            )
        self._events = surface == "events"
        self._claims, self._keys = Claims(settings.name), ed25519_keys(materials.secrets)
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status, self._type = settings.bad_signature_status, settings.type
        self._forming = Forming(settings, "discord:ed25519", materials.subject, SIGNED_TIME_HORIZON_S)

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Answered | Handshake:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, _WANTED)
        signature, stamp = found.get(_SIGNATURE), found.get(_TIME)
        if not signature or not stamp:
            raise unauth("sig_missing", status)
        raw = (
            decode_signature(signature, base64=False)
            if well_formed(signature, ED25519_SIGNATURE_BYTES, False)
            else None
        )
        if raw is None:
            raise unauth("sig_malformed", status)
        time_us = parse_timestamp_s(stamp, status) * 1_000_000
        secret_id = matching_key(self._keys, now_us, stamp + body, (raw,), status)
        check_window(time_us, now_us, self._age_s, self._skew_s)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        number = data.get("type")
        if number == (0 if self._events else 1) and type(number) is int:
            return Handshake(name="ping", secret_id=secret_id, reply=_NOTHING if self._events else _PONG)
        name, reply = _event(data) if self._events else _interaction(number)
        identity = "" if self._events else identity_in(data, "id")
        claim = self._claims.of_id_or_bytes(identity.encode(), body)
        delivery = self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=identity or claim.hex(),
            event_type=self._type or named_type("discord.", name),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )
        return Answered(delivery=delivery, reply=reply)


def _interaction(number: Any) -> tuple[str, Reply]:
    known = _INTERACTIONS.get(number) if type(number) is int else None
    if known is None:
        raise Refused(Reason.MALFORMED, "type_malformed")
    return known[0], Reply(body=known[1])


def _event(data: dict[str, Any]) -> tuple[str, Reply]:
    event = data.get("event")
    if type(event) is not dict:
        raise Refused(Reason.MALFORMED, "type_missing")
    return type_of(event, "type").lower(), _NOTHING


def sign(signing: Signing) -> Signed:
    """Headers as Discord sets them; the secret is the private key."""
    stamp = str(signing.at_us // 1_000_000)
    text = ed25519_private(signing.secret).sign(stamp.encode() + signing.body).hex()
    return [("X-Signature-Ed25519", text), ("X-Signature-Timestamp", stamp)], signing.body


KIND = Kind(
    name="discord",
    about=About(
        title="Discord",
        url="https://docs.discord.com/developers/interactions/overview",
        headers=("X-Signature-Ed25519", "X-Signature-Timestamp"),
        signed="`{timestamp}{body}`",
        algorithm="ed25519, hexadecimal",
        credential="the application's public key, hexadecimal",
        type="`discord.` and the kind of interaction, or the event's type in lower case",
        dedupe="the interaction's `id` in the signed body, or the body of an event; for 7 days",
        time="`X-Signature-Timestamp`",
        example="""\
discord:
  kind: discord
  secrets: [{secret_id: app, ref: "env:DISCORD_PUBLIC_KEY"}]
  scheme: {surface: interactions}
""",
        handshake="PING: answered with PONG, or with 204 where `surface` is `events`",
        answer="200 and a deferred answer to an interaction, 204 to an event",
        retries="interactions never, and an answer is due in 3 s; events for up to 10 minutes",
        scheme=(("surface", "`interactions` (default) or `events`"),),
        traps=(
            "Keep `bad_signature_status` at 401: Discord probes with bad signatures and takes the URL away otherwise.",
            "Its own library does not check the age of a request; here the window holds.",
        ),
    ),
    build=Discord,
    whole=because("a handshake stands in the body, and ed25519 reads what is signed twice"),
    redelivers=False,
    key_from=lambda _: key_from,
    sign=sign,
)
