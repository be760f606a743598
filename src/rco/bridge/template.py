"""Signatures as pure configuration: which headers, what is signed, how it is written. Shared by kinds ``hmac`` and
``ed25519``, which differ in how they prove."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import partial

import msgspec

from rco.bridge.claim import Claims
from rco.bridge.contract import Headers, ProviderSettings
from rco.bridge.decode import decode_object
from rco.bridge.decompression import Expand
from rco.bridge.forming import SIGNED_TIME_HORIZON_S, UNSIGNED_TIME_HORIZON_S, Forming, type_of
from rco.bridge.kind import Materials
from rco.bridge.passing import Kept, Passing, Proven
from rco.bridge.rules import header_name, key_of
from rco.bridge.secrets import open_base64, open_hex
from rco.bridge.signature import (
    SIGNATURE_HEADER_CAP_BYTES,
    TRACEPARENT,
    Signer,
    check_id,
    check_window,
    encode_base64,
    gather,
    parse_timestamp_s,
    trace_of,
    unauth,
    well_formed,
)
from rco.errors import ConfigInvalid, Reason, Refused
from rco.model.delivery import Delivery

__all__ = ["ENCODE", "OPEN", "SCHEME_KEYS", "Prove", "Template", "TemplateScheme"]

OPEN: dict[str, Callable[[bytes], bytes]] = {"raw": bytes, "hex": open_hex, "base64": open_base64}
ENCODE: dict[str, Callable[[bytes], bytes]] = {"hex": binascii.hexlify, "base64": encode_base64}
Prove = Callable[[int, tuple[bytes, ...], bytes, int], str]
"""Time, the parts of what is signed, the signature as it is written and the status of a bad one: the identity of the
secret that made it. Raises ``Refused``."""
TEMPLATE_CAP_CHARS = 256
_PART = re.compile(r"\{([^{}]*)\}")
_LITERAL = re.compile(r"[\x21-\x7a|~]*")

SCHEME_KEYS = (
    ("signature_header", "the header that holds the signature"),
    ("template", "what is signed: `{body}` once, `{id}` and `{timestamp}` at most once; default `{body}`"),
    ("id_header", "the header that `{id}` stands for"),
    ("timestamp_header", "the header that `{timestamp}` stands for: Unix seconds"),
    ("encoding", "`hex` (lower case) or `base64` (with padding); default `hex`"),
    ("prefix", "what stands before the signature in its header, e.g. `sha256=`"),
    ("key_encoding", "how the secret is written: `raw`, `hex` or `base64`"),
)


def signs_time(settings: ProviderSettings) -> bool:
    """Whether what is signed holds the time."""
    return "{timestamp}" in str((settings.scheme or {}).get("template", ""))


class TemplateScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both kinds ask for.

    ``template`` is what is signed: it holds ``{body}`` exactly once and may hold ``{id}`` and ``{timestamp}``, each at
    most once and separated from the others by punctuation. Header names are compared without regard to case.
    """

    signature_header: str
    template: str = "{body}"
    id_header: str | None = None
    timestamp_header: str | None = None
    encoding: str = "hex"
    prefix: str = ""


class Template:
    """Reads and verifies requests of one provider; ``prove`` is what the kind adds."""

    __slots__ = (
        "_able",
        "_age_s",
        "_base64",
        "_claims",
        "_field",
        "_forming",
        "_id_header",
        "_literals",
        "_parts",
        "_prefix",
        "_prove",
        "_signature_bytes",
        "_signature_header",
        "_skew_s",
        "_status",
        "_time_header",
        "_type",
        "_type_header",
        "_wanted",
    )

    def __init__(
        self,
        materials: Materials,
        scheme: TemplateScheme,
        *,
        sig_alg: str,
        signature_bytes: int,
        prove: Prove,
        able: tuple[Signer, ...] = (),
    ) -> None:
        """``able``: who may have signed, where a body can be proven while it passes."""
        self._able = able
        settings = materials.settings
        self._prove, self._signature_bytes = prove, signature_bytes
        self._claims = Claims(settings.name)
        self._age_s, self._skew_s = settings.age_limit_s, settings.skew_limit_s
        self._status = settings.bad_signature_status
        self._type, self._field = settings.type, settings.type_field
        _check_choices(settings, scheme)
        self._base64 = scheme.encoding == "base64"
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
            sig_alg,
            materials.subject,
            UNSIGNED_TIME_HORIZON_S if self._time_header is None else SIGNED_TIME_HORIZON_S,
        )

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery:
        """See ``Verifier.verify``."""
        found = gather(headers, self._wanted)
        values, time_us, candidate = self._read(found, now_us)
        values["body"] = body
        signed = tuple(values[part] if isinstance(part, str) else part for part in self._parts)
        secret_id = self._prove(now_us, signed, candidate, self._status)
        if self._time_header is not None:
            check_window(time_us, now_us, self._age_s, self._skew_s)
        content = body if expand is None else expand(body)
        data = decode_object(content)
        signed_id = values.get("id")
        claim = self._claims.of_bytes(b"".join(signed)) if signed_id is None else self._claims.of_id(signed_id)
        return self._forming.delivery(
            data=data,
            body=body,
            payload=content,
            event_id=claim.hex() if signed_id is None else signed_id.decode("ascii"),
            event_type=self._type or self._find_type(found, data),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
            claim=claim,
            secret_id=secret_id,
        )

    def begin(self, headers: Headers, length_bytes: int | None, now_us: int, corr_id: str) -> Passing:
        """See ``LargeVerifier.begin``. Only where there is somebody ``able``."""
        found = gather(headers, self._wanted)
        values, time_us, candidate = self._read(found, now_us)
        at = self._parts.index("body")
        before, after = (
            b"".join(values[part] if isinstance(part, str) else part for part in parts)
            for parts in (self._parts[:at], self._parts[at + 1 :])
        )
        signed_id = values.get("id")
        return Passing(
            self._able,
            now_us=now_us,
            length_bytes=length_bytes,
            claims=self._claims,
            encode=ENCODE["base64" if self._base64 else "hex"],
            candidates=(candidate,),
            status=self._status,
            form=partial(self._large, found, signed_id, time_us, now_us, corr_id),
            before=before,
            after=after,
            claim=b"" if signed_id is None else self._claims.of_id(signed_id),
        )

    def _large(
        self,
        found: dict[bytes, bytes],
        signed_id: bytes | None,
        time_us: int,
        now_us: int,
        corr_id: str,
        proven: Proven,
        kept: Kept,
    ) -> Delivery:
        if self._time_header is not None:
            check_window(time_us, now_us, self._age_s, self._skew_s)
        return self._forming.large(
            proven,
            kept,
            event_id="" if signed_id is None else signed_id.decode("ascii"),
            event_type=self._type or self._find_type(found, {}),
            time_us=time_us,
            now_us=now_us,
            corr_id=corr_id,
            trace=trace_of(found),
        )

    def _read(self, found: dict[bytes, bytes], now_us: int) -> tuple[dict[str, bytes], int, bytes]:
        """What stands in the head: the values of the template but for the body, the time, and the signature as it is
        written. Raises ``Refused`` for what is missing or malformed."""
        status = self._status
        signature = found.get(self._signature_header)
        if not signature:
            raise unauth("sig_missing", status)
        values: dict[str, bytes] = {}
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
        if not well_formed(candidate, self._signature_bytes, self._base64):
            raise unauth("sig_malformed", status)
        return values, time_us, candidate

    def signed_by(
        self, scheme: TemplateScheme, body: bytes, at_us: int, message_id: str, sign: Callable[[bytes], bytes]
    ) -> list[tuple[str, str]]:
        """The headers of a request that ``sign`` signs."""
        values = {"body": body, "id": message_id.encode(), "timestamp": str(at_us // 1_000_000).encode()}
        signed = b"".join(values[part] if isinstance(part, str) else part for part in self._parts)
        headers = [(scheme.signature_header, scheme.prefix + ENCODE[scheme.encoding](sign(signed)).decode())]
        if scheme.id_header is not None:
            headers.insert(0, (scheme.id_header, message_id))
        if scheme.timestamp_header is not None:
            headers.insert(0, (scheme.timestamp_header, values["timestamp"].decode()))
        return headers

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


def _check_choices(settings: ProviderSettings, scheme: TemplateScheme) -> None:
    if scheme.encoding not in ENCODE:
        raise ConfigInvalid(
            f"{scheme.encoding!r} is not one of {', '.join(ENCODE)}", key=key_of(settings, "scheme", "encoding")
        )
    if len(scheme.prefix) > 32 or _LITERAL.fullmatch(scheme.prefix) is None:
        raise ConfigInvalid(
            f"{scheme.prefix!r} is not a prefix",
            cure="Use up to 32 printable ASCII characters, e.g. sha256=.",
            key=key_of(settings, "scheme", "prefix"),
        )


def _parts(settings: ProviderSettings, scheme: TemplateScheme) -> tuple[tuple[str | bytes, ...], bytes]:
    """The template as literals (bytes) and places (str), and the punctuation that no identity may hold."""
    key = key_of(settings, "scheme", "template")
    if len(scheme.template) > TEMPLATE_CAP_CHARS:
        raise ConfigInvalid(f"the template has {len(scheme.template)} characters", cure="Use up to 256.", key=key)
    parts: list[str | bytes] = []
    literals = ""
    pieces = _PART.split(scheme.template)
    for index, text in enumerate(pieces):
        if index % 2:
            if text not in {"id", "timestamp", "body"} or text in parts:
                raise ConfigInvalid(
                    f"{{{text}}} is unknown or comes twice in {scheme.template!r}",
                    cure="Use {body} once, and {id} and {timestamp} at most once.",
                    key=key,
                )
            parts.append(text)
            continue
        between = 0 < index < len(pieces) - 1
        # A time right before a body is exact without a mark: the one is all digits, the other an object.
        exact = between and (pieces[index - 1], text, pieces[index + 1]) == ("timestamp", "", "body")
        if between and not exact and (not text or text.isalnum()):
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
