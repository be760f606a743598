"""Any sender that signs with HMAC, as pure configuration: headers, what is signed, algorithm, encoding."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

from rco.bridge.claim import Claims
from rco.bridge.contract import Expression, Headers, HmacScheme, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, UNSIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.rules import header_name, key_of
from rco.bridge.secrets import Secret, open_base64, open_hex
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

__all__ = ["GenericHmac", "build", "key_from"]

KEY_MIN_BYTES = 16
DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
_OPEN: dict[str, Callable[[bytes], bytes]] = {"raw": bytes, "hex": open_hex, "base64": open_base64}
_ENCODE: dict[str, Callable[[bytes], bytes]] = {"hex": binascii.hexlify, "base64": encode_base64}
_PART = re.compile(r"\{([^{}]*)\}")
_LITERAL = re.compile(r"[\x21-\x7a|~]*")
TEMPLATE_CAP_CHARS = 256


def key_from(text: bytes, key_encoding: str) -> bytes:
    """The key as ``key_encoding`` says. Raises ``ValueError`` when it cannot be read or is too short to be one."""
    key = _OPEN[key_encoding](text)
    if len(key) < KEY_MIN_BYTES:
        raise ValueError(f"it has {len(key)} bytes; use at least {KEY_MIN_BYTES}")
    return key


class GenericHmac:
    """Verifies one provider by its ``HmacScheme``."""

    __slots__ = (
        "_age_s",
        "_base64",
        "_claims",
        "_digest_bytes",
        "_encode",
        "_field",
        "_forming",
        "_id_header",
        "_literals",
        "_parts",
        "_prefix",
        "_signature_header",
        "_signers",
        "_skew_s",
        "_status",
        "_time_header",
        "_type",
        "_type_header",
        "_wanted",
    )

    def __init__(self, settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> None:
        scheme = settings.scheme
        if scheme is None:
            raise ConfigInvalid(
                "kind hmac has no scheme",
                cure="Say at least scheme.signature_header.",
                key=key_of(settings, "scheme"),
            )
        self._claims = Claims(settings.name)
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status = settings.bad_signature_status
        self._type, self._field = settings.type, settings.type_field
        _check_choices(settings, scheme)
        self._signers, self._digest_bytes = signers(secrets, scheme.algorithm), DIGEST_BYTES[scheme.algorithm]
        self._encode, self._base64 = _ENCODE[scheme.encoding], scheme.encoding == "base64"
        self._prefix = scheme.prefix.encode()
        self._parts, self._literals = _parts(settings, scheme)
        self._signature_header = header_name(scheme.signature_header, key_of(settings, "scheme", "signature_header"))
        self._id_header = _optional(settings, "id_header", scheme.id_header)
        self._time_header = _optional(settings, "timestamp_header", scheme.timestamp_header)
        self._type_header = (
            None if settings.type_header is None else header_name(settings.type_header, key_of(settings, "type_header"))
        )
        headers = [self._signature_header, self._id_header, self._time_header, self._type_header]
        named = [name for name in headers if name is not None]
        if len(set(named)) != len(named) or TRACEPARENT in named:
            raise ConfigInvalid(
                "one header is named for two things",
                cure="Give signature, id, timestamp and type a header each.",
                key=key_of(settings, "scheme"),
            )
        self._wanted = frozenset((*named, TRACEPARENT))
        self._forming = Forming(
            settings,
            f"hmac:hmac-{scheme.algorithm}",
            subject,
            UNSIGNED_TIME_HORIZON_S if self._time_header is None else SIGNED_TIME_HORIZON_S,
        )

    def verify(self, headers: Headers, body: bytes, now_us: int, corr_id: str) -> Delivery:
        """See ``Verifier.verify``."""
        status = self._status
        found = gather(headers, self._wanted)
        signature = found.get(self._signature_header)
        if not signature:
            raise unauth("sig_missing", status)
        values: dict[str, bytes] = {"body": body}
        if self._id_header is not None:
            values["id"] = found.get(self._id_header, b"")
            if not values["id"]:
                raise unauth("sig_missing", status)
            check_id(values["id"], self._literals, status)
        time_us = now_us
        if self._time_header is not None:
            values["timestamp"] = found.get(self._time_header, b"")
            if not values["timestamp"]:
                raise unauth("sig_missing", status)
            time_us = parse_timestamp_s(values["timestamp"], status) * 1_000_000
        if len(signature) > SIGNATURE_HEADER_CAP_BYTES or not signature.startswith(self._prefix):
            raise unauth("sig_malformed", status)
        candidate = signature[len(self._prefix) :]
        if not well_formed(candidate, self._digest_bytes, self._base64):
            raise unauth("sig_malformed", status)
        signed = tuple(values[part] if isinstance(part, str) else part for part in self._parts)
        secret_id = matching_secret(self._signers, now_us, signed, self._encode, (candidate,), status)
        if self._time_header is not None:
            check_window(time_us, now_us, self._age_s, self._skew_s)
        data = decode_object(body)
        signed_id = values.get("id")
        claim = self._claims.of_bytes(b"".join(signed)) if signed_id is None else self._claims.of_id(signed_id)
        return self._forming.delivery(
            data=data,
            body=body,
            event_id=claim.hex() if signed_id is None else signed_id.decode("ascii"),
            event_type=self._type or self._find_type(found, data),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def _find_type(self, found: dict[bytes, bytes], data: dict[str, object]) -> str:
        if self._type_header is None:
            return type_of(data, self._field)
        value = found.get(self._type_header, b"")
        if not value:
            raise Refused(Reason.MALFORMED, "type_missing")
        if len(value) > 256 or not value.isascii() or not value.decode("ascii").isprintable():
            raise Refused(Reason.MALFORMED, "type_malformed")
        return value.decode("ascii")


def _optional(settings: ProviderSettings, field: str, name: str | None) -> bytes | None:
    return None if name is None else header_name(name, key_of(settings, "scheme", field))


def _check_choices(settings: ProviderSettings, scheme: HmacScheme) -> None:
    if scheme.algorithm not in DIGEST_BYTES:
        raise ConfigInvalid(
            f"algorithm {scheme.algorithm!r} is not accepted",
            cure="Use sha256, sha384 or sha512; MD5 and SHA-1 no longer prove anything.",
            key=key_of(settings, "scheme", "algorithm"),
        )
    for field, value, choices in (
        ("encoding", scheme.encoding, _ENCODE),
        ("key_encoding", scheme.key_encoding, _OPEN),
    ):
        if value not in choices:
            raise ConfigInvalid(f"{value!r} is not one of {', '.join(choices)}", key=key_of(settings, "scheme", field))
    if len(scheme.prefix) > 32 or _LITERAL.fullmatch(scheme.prefix) is None:
        raise ConfigInvalid(
            f"{scheme.prefix!r} is not a prefix",
            cure="Use up to 32 printable ASCII characters, e.g. sha256=.",
            key=key_of(settings, "scheme", "prefix"),
        )


def _parts(settings: ProviderSettings, scheme: HmacScheme) -> tuple[tuple[str | bytes, ...], bytes]:
    """The template as literals (bytes) and places (str), and the punctuation that no identity may hold."""
    key = key_of(settings, "scheme", "template")
    if len(scheme.template) > TEMPLATE_CAP_CHARS:
        raise ConfigInvalid(f"the template has {len(scheme.template)} characters", cure="Use up to 256.", key=key)
    parts: list[str | bytes] = []
    literals = ""
    for index, text in enumerate(_PART.split(scheme.template)):
        if index % 2:
            if text not in {"id", "timestamp", "body"} or text in parts:
                raise ConfigInvalid(
                    f"{{{text}}} is unknown or comes twice in {scheme.template!r}",
                    cure="Use {body} once, and {id} and {timestamp} at most once.",
                    key=key,
                )
            parts.append(text)
            continue
        between = 0 < index < 2 * len(_PART.findall(scheme.template))
        if between and (not text or text.isalnum()):
            # "{id}{body}" lets a thief move bytes from one to the other: another identity with the same signature.
            raise ConfigInvalid(
                f"nothing separates two parts of {scheme.template!r}",
                cure="Put punctuation between them, e.g. {id}.{timestamp}.{body}.",
                key=key,
            )
        if _LITERAL.fullmatch(text) is None:
            raise ConfigInvalid(
                f"{scheme.template!r} holds a character that cannot be signed",
                cure="Use printable ASCII without spaces or single braces.",
                key=key,
            )
        if text:
            parts.append(text.encode())
            literals += text
    if "body" not in parts:
        raise ConfigInvalid(
            f"{scheme.template!r} does not hold {{body}}", cure="What is not signed is not proven.", key=key
        )
    for place, header, field in (
        ("id", scheme.id_header, "id_header"),
        ("timestamp", scheme.timestamp_header, "timestamp_header"),
    ):
        if (place in parts) != (header is not None):
            raise ConfigInvalid(
                f"{field} and {{{place}}} in the template go together",
                cure="Give both or neither: a header outside of the signature proves nothing.",
                key=key_of(settings, "scheme", field),
            )
    return tuple(parts), "".join(sorted({char for char in literals if not char.isalnum()})).encode()


def build(settings: ProviderSettings, secrets: tuple[Secret, ...], subject: Expression | None) -> GenericHmac:
    """The verifier of one provider. Raises ``ConfigInvalid`` for a scheme that would not prove anything."""
    return GenericHmac(settings, secrets, subject)
